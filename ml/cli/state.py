"""What was decided and what serves: the ledger and the service, read only."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ml import problem as problems
from ml import settings
from ml.cli.options import JsonOption, ProblemOption, show, table
from ml.errors import DataError
from ml.ledger import GENESIS, Entry, Ledger
from ml.policy import DECIDED
from ml.rollout import Rollout, under_way

LONGEST = 100  # characters of what somebody said


def register(app: typer.Typer) -> None:
    """Add `ledger` and `status`."""
    group = typer.Typer(help="The append-only record of decisions and moves.", no_args_is_help=True)
    group.command("show", help="Entries, oldest first.")(show_ledger)
    group.command("verify", help="Recompute the hash chain; a row that was changed, removed or moved is named.")(verify)
    group.command("champion", help="The version that should serve, or that should have at a moment.")(champion)
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
    if entry.kind == DECIDED:
        return _short(f"{'train' if body['train'] else 'skip'}: {body['why']}")
    given = next((str(body[name]) for name in ("why", "comment", "reason", "story") if body.get(name)), "")
    return _short(given)


def _short(text: str) -> str:
    said = " ".join(text.split())
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


def _name(problem: str) -> str:
    """The name behind a name or a path."""
    return problems.load(problem, settings.read().problems).name


def verify(
    noted: Annotated[
        str | None, typer.Option(help="a last hash that was printed before: entries cut off since leave no other trace")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print every break of the chain; one ends with status 1."""
    ledger = _ledger()
    broken, entries = ledger.verify(), ledger.entries()
    last = entries[-1].hash if entries else GENESIS
    if noted and noted not in (GENESIS, *(entry.hash for entry in entries)):
        broken.append(f"No entry has the hash {noted}: entries were cut off after {len(entries)}, or the one noted was replaced.")
    text = f"{len(entries)} entries, the chain is whole; the last hash is {last}"
    if as_json or not broken:
        show({"entries": len(entries), "broken": broken, "last": last}, as_json=as_json, text=text)
    if broken:
        raise DataError("The ledger was changed. " + " ".join(broken))


def champion(
    problem: ProblemOption,
    at: Annotated[
        str | None, typer.Option(help="a moment, for example 2013-02-03T12:00:00-05:00; default: now", metavar="TIME")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the champion of now or of a moment, or say that there was none."""
    moment = _moment(at) if at else None
    found = _ledger().champion(_name(problem), at=moment)
    nobody = f"{problem} had no champion at {at}" if at else f"{problem} has no champion yet"
    text = f"version {found.version} of run {found.run_key} since {found.since}" if found else nobody
    show(found and found._asdict(), as_json=as_json, text=text)


def _moment(text: str) -> datetime:
    """A moment that everybody understands alike; anything else is wrong usage."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no ISO time such as 2013-02-03T12:00:00-05:00", param_hint="--at") from error
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no offset; write for example {text}+00:00", param_hint="--at")
    return moment


def status(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Compare ledger, registry and service, and show the rollout; a difference that no rollout explains ends with status 1."""
    import httpx

    from ml.registry import Registry

    where, problem = settings.read(), _name(problem)
    lead, alias = _ledger().champion(problem), Registry(where.mlflow_url).alias(problem, "champion")
    facts: dict[str, Any] = {"ledger": lead and lead.version, "alias": alias, "service": None, "rollout": None}
    try:
        served = httpx.get(f"{where.serving_url}/problems/{problem}", timeout=5, trust_env=False).json()
        facts |= {"service": served.get("version"), "rollout": served.get("rollout")}
    except (httpx.TransportError, ValueError) as error:
        typer.secho(f"the service at {where.serving_url} does not answer: {error}", err=True)
    names = {"ledger": "champion by the ledger", "alias": "alias champion in MLflow", "service": "answering in the service"}
    told = [f"{names[place]}: {f'version {facts[place]}' if facts[place] else 'none'}" for place in names]
    versions = {facts[place] for place in names}
    entries = _ledger().entries(problem)
    rollout, decided = under_way(entries), next((one for one in reversed(entries) if one.kind == DECIDED), None)
    facts |= {"decided": decided and {"run": decided.run_key, "at": decided.at.isoformat(), **decided.body}}
    facts |= {"step": rollout and rollout.step + 1, "order": rollout and rollout.order}
    told += ["They agree."] if len(versions) == 1 else _rollout_lines(facts["rollout"] or {}, rollout)
    told += _decision_line(decided) if decided else []
    show(facts, as_json=as_json, text="\n".join(told))
    explained = rollout and (facts["ledger"], facts["service"]) == (rollout.challenger.version, rollout.previous.version)
    if len(versions) > 1 and not (explained and alias == facts["ledger"] and not (facts["rollout"] or {}).get("stopped")):
        raise DataError(
            f"Ledger, registry and service disagree about {problem}. `python -m ml deploy --problem {problem}` "
            "brings the service to the ledger's champion; the ledger leads, the alias follows."
        )


def _decision_line(decided: Entry) -> list[str]:
    """What the last night decided about training, and why."""
    what = "trained" if decided.body["train"] else "did not train"
    return [f"the night of {decided.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC {what}: {decided.body['why']}"]


def _rollout_lines(seen: dict[str, Any], rollout: Rollout | None) -> list[str]:
    """How far the rollout has come, and how it goes, as the service counts."""
    if rollout is None:
        return []
    doing = f"answers {rollout.share:.0%} of entities" if rollout.share else "looks on"
    held = ", held by hand" if rollout.order == "hold" else ""
    lines = [
        f"version {rollout.challenger.version} {doing}: {rollout.mode}, step {rollout.step + 1} of {len(rollout.shares)}, "
        f"since {rollout.began.astimezone(UTC):%Y-%m-%d %H:%M} UTC{held}"
    ]
    stopped = seen.get("stopped")
    if stopped and stopped["plan"] == rollout.id:
        return [*lines, f"the service stopped it at {stopped['at']}: {stopped['why']}"]
    lines += [f"  {arm}: {count:,} requests" for arm, count in seen.get("requests", {}).items() if count]
    lines += [f"  {arm}: p50 {p50} ms, p99 {p99} ms" for arm, (p50, p99) in seen.get("p50_p99_ms", {}).items()]
    marks = {True: "holds", False: "broken", None: "too few requests to say"}
    return lines + [f"  {rail['rule']}: {marks[rail['holds']]}; {rail['sentence']}" for rail in seen.get("guardrails", [])]
