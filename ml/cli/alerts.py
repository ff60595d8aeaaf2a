"""What people are told: what was, what waits, a trial of every route, and a while of silence."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from ml import notify
from ml.cli.options import JsonOption, ProblemOption, actor, reason, show, table
from ml.context import open_run
from ml.errors import ConfigError, EvergreenError, TransientError
from ml.notify import routing
from ml.notify.message import Alert, Message
from ml.notify.send import send as hand_over

LONGEST_DAYS = 30  # a snooze that outlives whoever asked for it is a hole


def register(app: typer.Typer) -> None:
    """Add `alerts`."""
    group = typer.Typer(help="What people are told, by which route, and what waits.", no_args_is_help=True)
    group.command("list", help="The newest alerts, and what became of each by each route.")(list_alerts)
    group.command("send", help="Write down what is new and send what is due, as the DAG alerts does every few minutes.")(send)
    group.command("test", help="Send one harmless message by every route of the file, now.")(test)
    group.command("snooze", help="Hold back a kind of alert for a while; it is sent afterwards.")(snooze)
    app.add_typer(group, name="alerts")


def list_alerts(
    problem: ProblemOption,
    limit: Annotated[int, typer.Option(min=1, help="rows shown at most, the newest")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Print alerts, newest first."""
    context = open_run(problem, "alerts")
    name, policy, zone = context.problem.name, context.problem.alerts, context.problem.source.timezone
    snoozed, now = routing.snoozes(context.ledger.entries(name)), context.settings.now()
    rows = []
    for work in context.ledger.asked(name, notify.ASKED, limit=limit):
        alert = Alert.of(work.key, work.body)
        held = routing.why_held(alert, policy, snoozed, now, zone)
        rows.append(
            {
                "at (UTC)": f"{work.asked_at:%Y-%m-%d %H:%M}",
                "alert": alert.kind,
                "severity": alert.severity(policy),
                "route": work.kind.partition("@")[2],
                "became": work.outcome or (f"held: {held}" if held else "due"),
                "what": alert.what,
                "key": alert.key,
            }
        )
    show(rows, as_json=as_json, text=table(rows, ["at (UTC)", "alert", "severity", "route", "became", "what"]))


def send(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Sweep once; a route that takes nothing ends with status 1, after the others have sent."""
    record = notify.sweep(open_run(problem, "alerts"))
    show(record.model_dump(mode="json"), as_json=as_json, text=record.sentence)
    if record.failed:
        raise TransientError(" ".join(record.failed.values()))


def test(
    route: Annotated[str | None, typer.Option(help="only this one")] = None,
    as_json: JsonOption = False,
) -> None:
    """Try every route; one that takes nothing ends with status 1, after the others were tried."""
    from ml import settings

    routes = notify.read(settings.read().alerts)
    if routes is None:
        raise ConfigError("EVERGREEN_ALERTS names no file, so nothing is ever sent. docs/alerts.md shows one.")
    if route and route not in routes.addresses:
        raise ConfigError(f"There is no route {route!r}. Known: {', '.join(sorted(routes.addresses))}.")
    message = Message("[evergreen] info: a trial", "This is a trial of the route. Nothing is to be done.", "info", "trial")
    rows: list[dict[str, Any]] = []
    for name in [route] if route else sorted(routes.addresses):
        try:
            hand_over(message, name, routes.addresses[name])
            rows.append({"route": name, "taken": True, "why": ""})
        except EvergreenError as error:
            rows.append({"route": name, "taken": False, "why": str(error)})
    show(rows, as_json=as_json, text="\n".join(f"{one['route']}: {one['why'] or 'taken'}" for one in rows))
    if not all(one["taken"] for one in rows):
        raise TransientError("Not every route took the message; it is said above which, and why.")


def snooze(
    problem: ProblemOption,
    hours: Annotated[float, typer.Option(min=0, max=24 * LONGEST_DAYS, help="from now; 0 ends the snooze")],
    why: Annotated[str, typer.Option(help="stays in the ledger")] = "",
    kind: Annotated[str, typer.Option(help="of alert, as `alerts list` shows it")] = routing.EVERYTHING,
    as_json: JsonOption = False,
) -> None:
    """Write the snooze to the ledger; a later one of the same kind replaces it."""
    if kind not in (*notify.KINDS, routing.EVERYTHING):
        raise ConfigError(f"There is no alert {kind!r}. Known: {', '.join((*notify.KINDS, routing.EVERYTHING))}.")
    said = reason(why, "A snooze keeps alerts from people.")
    context = open_run(problem, "alerts")
    now = context.settings.now()
    until = now + timedelta(hours=hours)
    body = {"kind": kind, "until": until.isoformat(), "why": said}
    entry = context.ledger.append(context.problem.name, notify.SNOOZED, key=f"{kind}-{now.isoformat()}", actor=actor(), body=body)
    show(
        {**body, "entry": entry.id},
        as_json=as_json,
        text=f"{kind} of {context.problem.name} waits until {until:%Y-%m-%d %H:%M} UTC",
    )
