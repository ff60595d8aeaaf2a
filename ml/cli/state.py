"""What was decided and what serves: the ledger and the service, read only."""

from dataclasses import asdict
from datetime import UTC
from typing import Annotated

import typer

from ml import problem as problems
from ml import settings
from ml.cli.options import JsonOption, ProblemOption, show, table
from ml.errors import DataError
from ml.ledger import Entry, Ledger

LONGEST = 100  # characters of what somebody said


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
    entries = _ledger().entries(_name(problem) if problem else None)
    told = [
        {
            "id": entry.id,
            "at (UTC)": f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M}",
            "problem": entry.problem,
            "what": entry.kind,
            "version": entry.version,
            "run": entry.run_key,
            "by": entry.actor,
            "said": _said(entry),
        }
        for entry in entries
    ]
    columns = ["id", "at (UTC)", "problem", "what", "version", "run", "by", "said"]
    show([asdict(entry) for entry in entries], as_json=as_json, text=table(told, columns))


def _said(entry: Entry) -> str:
    """The decision and the rules that it rests on, or the reason that somebody gave; --json has the rest."""
    body = entry.body
    if entry.kind == "verdict":
        verdict = body["verdict"]
        broken = ", ".join(rule["rule"] for rule in verdict["rules"] if rule["holds"] is not True)
        return f"{verdict['decision']}: {broken}" if broken else str(verdict["decision"])
    given = next((str(body[name]) for name in ("why", "comment", "reason", "story") if body.get(name)), "")
    said = " ".join(given.split())
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


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
    names = {"ledger": "champion by the ledger", "alias": "alias champion in MLflow", "service": "answering in the service"}
    told = [f"{names[place]}: {f'version {version}' if version else 'none'}" for place, version in facts.items()]
    agree = ["They agree."] if len(set(facts.values())) == 1 else []
    show(facts, as_json=as_json, text="\n".join([*told, *agree]))
    if len(set(facts.values())) > 1:
        raise DataError(
            f"Ledger, registry and service disagree about {problem}. `python -m ml deploy --problem {problem}` "
            "brings the service to the ledger's champion; the ledger leads, the alias follows."
        )
