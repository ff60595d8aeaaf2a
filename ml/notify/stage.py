"""The shell: write down what is to be told, and send what is due. Killed anywhere and run again, nothing is lost.

An alert is a row of work of kind `alert`; for every route that it goes by there is one of kind `alert@<route>`, done when it was
sent. A kill between sending and writing that down sends it twice: at least once, and once where the sink knows its stamp.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC

from ml import database
from ml.context import Context
from ml.errors import ConfigError, EvergreenError, TransientError
from ml.ledger import Entry, Work
from ml.notify import found, routing
from ml.notify.message import Alert, compose
from ml.notify.routes import Routes, read
from ml.notify.send import send
from ml.records import Swept

log = logging.getLogger(__name__)
ASKED = "alert"
LOCK = 0x414C_4552  # any number that is ours: sweeps of a problem do not send side by side


def delivery(route: str) -> str:
    """The kind of work that sending by a route is."""
    return f"{ASKED}@{route}"


def raise_alert(context: Context, alert: Alert) -> bool:
    """Write down what is to be told; False when it was written down before.

    Where the ledger is away it is sent at once, because nobody could write down that it waits.

    Raises: TransientError: the ledger is away and no route took it.
    """
    try:
        return context.ledger.ask(context.problem.name, ASKED, alert.key, alert.body)
    except TransientError as away:
        log.warning("The alert %s goes out at once: %s", alert.key, away)
        if routes := read(context.settings.alerts):
            for name in routing.routes_of(alert, context.problem.alerts):
                _hand_over(context, routes, name, [alert])
        return True


@dataclass
class _Counts:
    """What one sweep did."""

    sent: int = 0
    held: int = 0
    waiting: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def sweep(context: Context, *, airflow: str | None = None) -> Swept:
    """Write down the ledger's news and a night that is late, send what is due, and leave word for Prometheus.

    Args:
        airflow: address of Airflow, for links, where the file of routes names none.
    Raises: ConfigError: the file of routes is wrong. TransientError: the database or the store is away.
        A route that takes nothing raises nothing: the record names it.
    """
    now, entries = context.settings.now(), context.ledger.entries(context.problem.name)
    late = found.late(context.problem, entries, now)
    waiting = found.approvals(context.ledger.due(context.problem.name, "approve"), context.problem.gate.approval_hours)
    for alert in [*found.news(entries, now), *waiting, *([late] if late else [])]:
        context.ledger.ask(context.problem.name, ASKED, alert.key, alert.body)
    routes, counts = read(context.settings.alerts), _Counts()
    with database.only_one(context.settings.database_url, LOCK, context.problem.name) as alone:
        if alone:
            _fan_out(context, routes)
            counts = _deliver(context, _linking(routes, airflow), entries) if routes else counts
    record = Swept(
        at=now,
        night_ended=found.ended(entries),
        night_late=late is not None,
        num_sent=counts.sent,
        num_held=counts.held,
        num_waiting=counts.waiting,
        failed=counts.failed,
    )
    context.store.write_json(Swept.latest, record.model_dump(mode="json"))
    return record


def _linking(routes: Routes, airflow: str | None) -> Routes:
    return replace(routes, airflow=routes.airflow or airflow)


def _fan_out(context: Context, routes: Routes | None) -> None:
    """One row for every route that an alert goes by; what goes by none is done."""
    name, ledger = context.problem.name, context.ledger
    for work in ledger.due(name, ASKED):
        ways = routing.routes_of(Alert.of(work.key, work.body), context.problem.alerts)
        for route in ways if routes else ():
            ledger.ask(name, delivery(route), work.key, work.body)
        outcome = f"to {', '.join(ways)}" if ways else "no route for this severity"
        ledger.done(work, outcome if routes else "not sent: EVERGREEN_ALERTS names no file of routes")


def _deliver(context: Context, routes: Routes, entries: list[Entry]) -> _Counts:
    """Send what may go out, by every route that the problem or the file knows; one that fails stops no other."""
    counts, policy = _Counts(), context.problem.alerts
    known = {*routes.addresses, *(route for ways in policy.routes.values() for route in ways)}
    snoozed, now, zone = routing.snoozes(entries), context.settings.now(), context.problem.source.timezone
    for route in sorted(known):
        due = [(work, Alert.of(work.key, work.body)) for work in context.ledger.due(context.problem.name, delivery(route))]
        ready = [(work, one) for work, one in due if not routing.why_held(one, policy, snoozed, now, zone)]
        counts.held += len(due) - len(ready)
        if not ready:
            continue
        try:
            _hand_over(context, routes, route, [alert for _, alert in ready])
        except EvergreenError as error:
            counts.failed[route], counts.waiting = str(error), counts.waiting + len(ready)
            log.warning("%s", error)
            continue
        counts.sent += 1
        _tick_off(context, [work for work, _ in ready])
    return counts


def _hand_over(context: Context, routes: Routes, route: str, alerts: list[Alert]) -> None:
    if route not in routes.addresses:
        raise ConfigError(
            f"[alerts] routes names {route!r}, which the file of EVERGREEN_ALERTS does not know. Known there: "
            f"{', '.join(sorted(routes.addresses))}. Add it, or correct the problem file."
        )
    linked = [replace(alert, links=_links(alert.links, routes.airflow)) for alert in alerts]
    name, zone = context.problem.name, context.problem.source.timezone
    send(compose(name, linked, context.problem.alerts, timezone=zone, runbook=routes.runbook), route, routes.addresses[route])


def _links(links: Mapping[str, str], airflow: str | None) -> dict[str, str]:
    """Paths of Airflow as addresses; where its address is not known they are left out."""
    whole = {name: f"{(airflow or '').rstrip('/')}{one}" if one.startswith("/") else one for name, one in links.items()}
    return {name: one for name, one in whole.items() if not one.startswith("/")}


def _tick_off(context: Context, sent: list[Work]) -> None:
    for work in sent:
        context.ledger.done(work, f"sent {context.settings.now().astimezone(UTC):%Y-%m-%d %H:%M} UTC")
