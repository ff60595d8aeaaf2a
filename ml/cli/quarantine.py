"""Rows that broke a rule: look at them, and after a fix let them in, or say that they are rightly bad."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import numpy as np
import typer

from ml.cli.options import JsonOption, ProblemOption, actor, reason, show, table
from ml.context import Context, open_run
from ml.window import Window

DayOption = Annotated[str | None, typer.Option("--day", help="one day, 2013-01-31")]
WindowOption = Annotated[str | None, typer.Option("--window", help="days, 2013-01-01/2013-02-01; default: all")]
RuleOption = Annotated[str, typer.Option("--rule", help="rows that broke a rule with this in its name")]
KeyOption = Annotated[str, typer.Option("--key", help="rows with this key")]
RowOption = Annotated[str, typer.Option("--row", help="the row of this name (see `list --rows`); its beginning is enough")]
WhyOption = Annotated[str, typer.Option("--why", help="kept in the history")]


def register(app: typer.Typer) -> None:
    """Add `quarantine`."""
    group = typer.Typer(help="Rows that broke a rule.", no_args_is_help=True)
    group.command("list", help="How many rows broke which rule on which day; with --rows each of them.")(list_)
    group.command("show", help="Rows in full: values, every rule they broke and why it stands, decisions so far.")(show_)
    group.command("release", help="After a fix: judge rows again; those that hold every critical rule go into `valid`.")(release)
    group.command("discard", help="Rows are rightly bad: they stay where they are and are no longer shown as open.")(discard)
    app.add_typer(group, name="quarantine")


def list_(
    problem: ProblemOption,
    window: WindowOption = None,
    rule: RuleOption = "",
    rows: Annotated[bool, typer.Option("--rows", help="the rows, newest day first")] = False,
    everything: Annotated[bool, typer.Option("--all", help="discarded rows too")] = False,
    limit: Annotated[int, typer.Option(min=1, help="lines shown at most")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Print what lies in quarantine."""
    from ml import quarantine
    from ml.quarantine import listing

    context = open_run(problem, "show")
    if not context.table("quarantine").days():
        return show([], as_json=as_json, text="the quarantine is empty")
    choice = quarantine.Choice(_window(None, window), rule, discarded=everything)
    found = quarantine.held(context, choice.window)
    found = found.only(found.chosen(choice))
    total = f"{found.rows.num_rows:,} rows in all"
    if rows:
        told = listing.lines(found)[:limit]
        shown = [one | {"rules": "; ".join(one["rules"])} for one in told]
        return show(told, as_json=as_json, text=f"{table(shown, ['day', 'key', 'row', 'state', 'rules', 'run'])}\n{total}")
    told = listing.summary(found, _ingested(context), context.problem.source.event_time)
    shown = [one | {"share": "" if one["share"] is None else f"{one['share']:.2%}"} for one in told[:limit]]
    columns = ["day", "rule", "rows", "share", "first", "last", "open", "discarded"]
    return show(told, as_json=as_json, text=f"{table(shown, columns)}\n{total}")


def show_(
    problem: ProblemOption,
    day: DayOption = None,
    key: KeyOption = "",
    row: RowOption = "",
    limit: Annotated[int, typer.Option(min=1, help="rows shown at most")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Print rows in full."""
    from ml import quarantine
    from ml.quarantine import listing

    _demand(day, key, row)
    context = open_run(problem, "show")
    choice = quarantine.Choice(_window(day, None), key=key, row=row, discarded=True)
    found = quarantine.held(context, choice.window)
    found = found.only(found.chosen(choice))
    num_rows = found.rows.num_rows
    found = found.only(np.arange(num_rows) < limit)
    whys = listing.whys_of(context, found)
    if {rule for rules in found.rules for rule in rules} - set(whys):
        whys = _present_whys(context) | whys
    told = listing.stories(context, found, whys)
    more = [f"{num_rows - limit:,} more rows; see --limit"] if num_rows > limit else []
    text = "\n\n".join(["\n".join(_story(one)) for one in told] + more) or "no such rows are in quarantine"
    show(told, as_json=as_json, text=text)


def release(
    problem: ProblemOption,
    day: DayOption = None,
    window: WindowOption = None,
    rule: RuleOption = "",
    key: KeyOption = "",
    row: RowOption = "",
    discarded: Annotated[bool, typer.Option("--discarded", help="rows that were discarded too")] = False,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Judge rows again with the present suite."""
    from ml import quarantine
    from ml.validate import broken_by

    context = open_run(problem, "release")
    choice = quarantine.Choice(_window(day, window), rule, key, row, discarded)
    asked = quarantine.Asked("release", actor(), why)
    told = [asdict(one) for one in quarantine.release(context, choice, asked, judge=lambda rows: broken_by(context, rows))]
    _print(told, as_json, otherwise="no open row is meant by that")


def discard(
    problem: ProblemOption,
    why: Annotated[str, typer.Option("--why", help="why they are rightly bad; kept in the history")],
    day: DayOption = None,
    window: WindowOption = None,
    rule: RuleOption = "",
    key: KeyOption = "",
    row: RowOption = "",
    as_json: JsonOption = False,
) -> None:
    """Settle rows as bad."""
    from ml import quarantine

    _demand(day, window, rule, key, row)
    why = reason(why, "Rows that are settled as bad are not looked at again.")
    choice = quarantine.Choice(_window(day, window), rule, key, row)
    told = [
        asdict(one) for one in quarantine.discard(open_run(problem, "discard"), choice, quarantine.Asked("discard", actor(), why))
    ]
    _print(told, as_json, otherwise="no open row is meant by that")


def _present_whys(context: Context) -> dict[str, str]:
    from ml.validate import stage, suite
    from ml.validate.rules import rules

    return {rule.name: rule.configuration.meta["why"] for rule in rules(suite.load(stage.suite_path(context)))}


def _ingested(context: Context) -> dict[str, int]:
    """Rows per day as ingested."""
    days = context.table("raw").days()
    return context.table("raw").num_rows(Window(days[0], days[-1] + timedelta(days=1))) if days else {}


def _window(day: str | None, window: str | None) -> Window | None:
    if day and window:
        raise typer.BadParameter("Give --day or --window, not both.")
    asked = day or window
    return Window.parse(asked) if asked else None


def _demand(*which: str | None) -> None:
    """Without any choice a slip of the finger would mean every row."""
    if not any(which):
        raise typer.BadParameter("Say which rows: --day, --window, --rule, --key or --row.")


def _print(told: list[dict[str, Any]], as_json: bool, *, otherwise: str) -> None:
    counts = Counter(one["outcome"] for one in told)
    shown = [one | {"rules": "; ".join(one["rules"])} for one in told[:20]]
    text = f"{table(shown, ['day', 'key', 'row', 'outcome', 'rules'])}\n" + ", ".join(
        f"{many:,} {how}" for how, many in counts.items()
    )
    show(told, as_json=as_json, text=text if told else otherwise)


def _story(one: dict[str, Any]) -> Iterator[str]:
    yield f"{one['key']} of {one['day']}, row {one['row']}: {one['state']}, set aside by run {one['run']}"
    for rule in one["rules"]:
        yield f"  broke {rule['rule']}\n        {rule['why']}"
    for name, value in one["values"].items():
        yield f"  {name} = {value}"
    for past in one["history"]:
        why = f": {past['why']}" if past["why"] else ""
        yield f"  {past['at']:%Y-%m-%d %H:%M} {past['who']} {past['decision']} of {past['about']}, {past['outcome']}{why}"
