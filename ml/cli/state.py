"""What was decided and what serves: the ledger and the service, read only."""

from dataclasses import asdict
from typing import Annotated

import typer

from ml import problem as problems
from ml import settings
from ml.cli.options import JsonOption, ProblemOption, show, table
from ml.errors import DataError
from ml.ledger import Ledger


def register(app: typer.Typer) -> None:
    """Add `ledger` and `status`."""
    group = typer.Typer(help="The append-only record of decisions and moves.", no_args_is_help=True)
    group.command("show", help="Entries, oldest first.")(show_ledger)
    group.command("verify", help="Recompute the hash chain; a changed row is named.")(verify)
    group.command("champion", help="The version that should serve.")(champion)
    app.add_typer(group, name="ledger")
    app.command("status", help="Champion by the ledger, alias in the registry, version in the service: do they agree?")(status)


def _ledger() -> Ledger:
    return Ledger(settings.read().database_url)


def show_ledger(
    problem: Annotated[str | None, typer.Option("--problem", "-p", help="only this problem")] = None, as_json: JsonOption = False
) -> None:
    """Print entries."""
    rows = [asdict(entry) for entry in _ledger().entries(_name(problem) if problem else None)]
    show(rows, as_json=as_json, text=table(rows, ["id", "at", "problem", "kind", "version", "run_key", "actor"]))


def _name(problem: str) -> str:
    """The name behind a name or a path."""
    return problems.load(problem, settings.read().problems).name


def verify(as_json: JsonOption = False) -> None:
    """Raise DataError where the chain is broken."""
    ledger = _ledger()
    broken, count = ledger.verify(), len(ledger.entries())
    if broken:
        raise DataError("The ledger was changed: " + "; ".join(broken))
    show({"entries": count, "broken": []}, as_json=as_json, text=f"{count} entries, the chain is whole")


def champion(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Print the champion, or say that there is none."""
    now = _ledger().champion(_name(problem))
    text = f"version {now.version} of run {now.run_key} since {now.since}" if now else f"{problem} has no champion yet"
    show(now and now._asdict(), as_json=as_json, text=text)


def status(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Compare ledger, registry and service; a difference ends with status 1."""
    import httpx

    from ml.registry import Registry

    where, problem = settings.read(), _name(problem)
    lead = _ledger().champion(problem)
    facts = {"ledger": lead and lead.version, "alias": Registry(where.mlflow_url).alias(problem, "champion"), "service": None}
    try:
        facts["service"] = httpx.get(f"{where.serving_url}/problems/{problem}", timeout=5, trust_env=False).json().get("version")
    except (httpx.TransportError, ValueError) as error:
        typer.secho(f"the service at {where.serving_url} does not answer: {error}", err=True)
    show(facts, as_json=as_json, text="\n".join(f"{name}: {version}" for name, version in facts.items()))
    if len(set(facts.values())) > 1:
        raise DataError(
            f"Ledger, registry and service disagree about {problem}. `python -m ml deploy --problem {problem}` "
            "brings the service to the ledger's champion; the ledger leads, the alias follows."
        )
