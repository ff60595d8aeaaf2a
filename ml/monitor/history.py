"""What the monitor said on the days before: one small file a day in the store, without sentences, which quote requests."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime

from ml.context import Context
from ml.monitor.sample import INSTANT
from ml.records import DriftFinding, Monitored, MonitoredDay
from ml.window import local_day

FARTHEST = 90  # days that are looked back over: what has stood out for longer stands out since then


def keep(context: Context, record: Monitored) -> None:
    """Write down what was said of a day, once a day: of several runs the one that looked last."""
    if record.end is None:
        return
    day = MonitoredDay(day=day_of(context, record.end - INSTANT), run_key=context.run_key, said=record.silent)
    name = f"{MonitoredDay.folder}/{day.day}.json"
    if context.store.exists(name):
        held = MonitoredDay.model_validate(context.store.read_json(name)).said
        if held.end is not None and held.end > record.end:
            return
    context.store.write_json(name, day.model_dump(mode="json"))


def day_of(context: Context, moment: datetime) -> date:
    """The day that a run stands for, in the problem's time zone."""
    return local_day(moment, context.problem.source.timezone)


def days(context: Context, *, before: date | None = None, most: int = FARTHEST) -> list[MonitoredDay]:
    """The days that were judged, newest first, at most so many."""
    names = sorted((name for name in context.store.names(MonitoredDay.folder)), reverse=True)
    wanted = [name for name in names if before is None or name.rpartition("/")[2] < f"{before}.json"]
    return [MonitoredDay.model_validate(context.store.read_json(name)) for name in wanted[:most]]


def reign(found: Iterable[MonitoredDay], version: int) -> list[MonitoredDay]:
    """The newest of some days, newest first, as far back as this version was the champion: each is its own measure."""
    kept: list[MonitoredDay] = []
    for one in found:
        if one.said.version != version:
            break
        kept.append(one)
    return kept


def in_a_row(before: Sequence[MonitoredDay], stood_out: Callable[[Monitored], bool | None]) -> list[date]:
    """The days, newest first, on which something stood out without a break; days that could not be judged break nothing.

    Args:
        before: newest first.
        stood_out: None when it could not be judged.
    """
    found: list[date] = []
    for one in before:
        said = stood_out(one.said)
        if said is False:
            break
        if said:
            found.append(one.day)
    return found


def dated(record: Monitored, day: date, before: Sequence[MonitoredDay]) -> Monitored:
    """The same record, its findings told since when they stand out."""
    findings = tuple(
        one.model_copy(update={"since": ([day, *in_a_row(before, _same(one))])[-1]}) if one.drifted else one
        for one in record.findings
    )
    return record.model_copy(update={"findings": findings})


def verdicts_in_a_row(kind: str, before: Sequence[MonitoredDay]) -> list[date]:
    """The days before, newest first, on which the verdict of a kind was drift without a break."""
    return in_a_row(before, lambda said: {"drift": True, "no drift": False}.get(said.verdicts.get(kind, "")))


def _same(one: DriftFinding) -> Callable[[Monitored], bool | None]:
    return lambda said: next((o.drifted for o in said.findings if (o.kind, o.subject) == (one.kind, one.subject)), None)
