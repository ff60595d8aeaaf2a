"""Retraining policies tried on one's own past."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ml.cli.options import JsonOption, ProblemOption, by_hand, show, table
from ml.context import open_run
from ml.records import Interval
from ml.records.backtest import Backtested
from ml.window import Window

EVERY = "never,nightly,weekly,drift,performance,evergreen"
Day = datetime  # typer reads days as moments


def register(app: typer.Typer) -> None:
    """Add `backtest`."""
    app.command(
        "backtest",
        help="Replay history night by night under several retraining policies: quality, cost and a recommendation. The same "
        "command goes on where it was stopped.",
    )(backtest)


def backtest(
    problem: ProblemOption,
    first: Annotated[Day, typer.Option("--from", formats=["%Y-%m-%d"], help="day of the first night")],
    last: Annotated[Day, typer.Option("--to", formats=["%Y-%m-%d"], help="day after the last answers")],
    policies: Annotated[str, typer.Option(help="which, separated by commas")] = EVERY,
    every: Annotated[int, typer.Option(min=1, help="days from one night to the next; more is faster")] = 1,
    share: Annotated[float, typer.Option(help="of the keys that are replayed, above 0 and up to 1; less is faster")] = 1.0,
    workers: Annotated[int | None, typer.Option(min=1, help="policies at once; default: one a core, at most four")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="the history that comes with the problem, instead of `valid`")] = False,
    data: Annotated[Path | None, typer.Option(help="where the sample's files lie, for complaints")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="keep every replayed night, to look at or to add policies later")] = False,
    run_key: Annotated[str, typer.Option("--run", help="names the folder of record and page; default: a new one")] = "",
    as_json: JsonOption = False,
) -> None:
    """Replay, judge, and print what every policy reached and cost."""
    from ml import backtest as stage

    context = open_run(problem, run_key or by_hand("backtest"))
    asked = stage.Asked(
        Window(first.date(), last.date()),
        tuple(name.strip() for name in policies.split(",")),
        every=every,
        share=share,
        workers=workers or min(os.cpu_count() or 1, stage.MOST_WORKERS),
        keep=keep,
    )
    record = stage.run(context, asked, stage.Past(sample or data is not None, data))
    page = context.store.location(context.name(stage.PAGE))
    show(record.model_dump(mode="json"), as_json=as_json, text=f"{_table(record)}\n{record.sentence}\nreport: {page}")


def _table(record: Backtested) -> str:
    rows = [
        {
            "policy": one.policy,
            record.metric: _told(one.quality, "{:.4f}"),
            "over never": _told(one.over_never, "{:+.4f}"),
            "over nightly": _told(one.over_nightly, "{:+.4f}"),
            "trained": one.num_trained,
            "promoted": one.num_promoted,
            "minutes": f"{one.minutes:.1f}",
            "alarms": one.num_alarms,
            "false": one.num_false_alarms,
        }
        for one in record.policies
    ]
    return table(rows, list(rows[0]))


def _told(one: Interval | None, form: str) -> str | None:
    return None if one is None else f"{form.format(one.value)} ({form.format(one.low)} to {form.format(one.high)})"
