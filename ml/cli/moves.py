"""Moves of the champion by hand; each leaves a row in the ledger with who and why."""

import time
from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, actor, by_hand, show
from ml.context import Context, open_run
from ml.errors import RefusedError
from ml.rollout.story import Mode, Order


def register(app: typer.Typer) -> None:
    """Add `promote`, `deploy` and `rollback`."""
    app.command("promote", help="Make a registered version the champion; only one whose verdict says promote.")(promote)
    app.command("deploy", help="Bring the service to the champion, at once or by and by, and check its answer.")(deploy)
    app.command("rollback", help="Back to the previous champion, or to a named earlier one, and deploy it.")(rollback)


def _open(problem: str, what: str) -> Context:
    return open_run(problem, by_hand(what))


def promote(
    problem: ProblemOption,
    version: Annotated[int, typer.Option(help="version in the registry")],
    comment: Annotated[str, typer.Option(help="why, kept in the ledger")] = "",
    as_json: JsonOption = False,
) -> None:
    """Promote by hand, without a question in Airflow: who may do this is who may reach the ledger."""
    from ml import promote as stage

    context = _open(problem, "promote")
    _heed_alias(context)
    done = stage.run(context, version=version, actor=actor(), comment=comment)
    if done is None:
        raise RefusedError(f"Version {version} of {problem} was not promoted: nothing is due.")
    show(done.model_dump(mode="json"), as_json=as_json, text=f"version {done.version} is the champion, after {done.previous}")


def deploy(
    problem: ProblemOption,
    mode: Annotated[Mode | None, typer.Option(help="how, if not as [serving] rollout says")] = None,
    order: Annotated[Order | None, typer.Option(help="what becomes of the rollout that is under way")] = None,
    comment: Annotated[str, typer.Option(help="why, kept in the ledger")] = "",
    wait: Annotated[bool, typer.Option(help="stay until the rollout is over, or held")] = False,
    as_json: JsonOption = False,
) -> None:
    """Deploy the champion by hand, or take its rollout as far as it may go now."""
    from ml import deploy as stage
    from ml.deploy.rollout import Asked
    from ml.records import RollingOut

    context = _open(problem, "deploy")
    _heed_alias(context)
    done = stage.run(context, Asked(mode, order, actor(), comment))
    while wait and isinstance(done, RollingOut) and not done.held:
        typer.secho(done.sentence, err=True)
        time.sleep(done.check_after_s)
        done = stage.run(context)
    if done is None:
        raise RefusedError(f"{problem} has no champion to deploy. Promote a version first.")
    text = done.sentence if isinstance(done, RollingOut) else f"version {done.version} answers at {done.url}"
    show(done.model_dump(mode="json"), as_json=as_json, text=text)


def _heed_alias(context: Context) -> None:
    """Somebody may have moved the alias in MLflow by hand, and nobody has looked since."""
    from ml import follow

    if followed := follow.run(context):
        typer.secho(f"The alias champion was found moved by hand. {followed.why}", err=True)


def rollback(
    problem: ProblemOption,
    to: Annotated[int | None, typer.Option(help="an earlier champion; default: the one before")] = None,
    comment: Annotated[str, typer.Option(help="why, kept in the ledger")] = "",
    as_json: JsonOption = False,
) -> None:
    """Move the champion back and deploy it."""
    from ml import deploy as deploying
    from ml import promote as stage

    context = _open(problem, "rollback")
    moved = stage.rollback(context, to=to, actor=actor(), comment=comment)
    served = deploying.run(context)
    content = {"moved": moved.model_dump(mode="json"), "served": served and served.model_dump(mode="json")}
    show(content, as_json=as_json, text=f"version {moved.version} is the champion again and answers")
