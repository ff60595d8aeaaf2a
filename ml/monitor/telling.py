"""What people are to be told, each piece of news once."""

from ml.context import Context


def news(context: Context) -> list[str]:
    """What was not told yet, oldest first; it counts as told from now on, and stays in the ledger."""
    name, ledger = context.problem.name, context.ledger
    found = ledger.due(name, "tell")
    for work in found:
        ledger.done(work, f"told by {context.run_key}")
    return [str(work.body["why"]) for work in found]
