"""Retraining policies on real streams: what is replayed, and its section of the page."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ml import backtest
from ml.backtest import Asked, Past
from ml.context import open_run
from ml.records import Interval
from ml.records.backtest import Backtested, PolicyOutcome
from ml.window import Window


@dataclass(frozen=True)
class Replay:
    """One backtest of the page; `data` says that it needs the folder of extracts."""

    name: str
    title: str
    problem: str
    span: str
    every: int = 1
    share: float = 1.0
    data: bool = False


REPLAYS = (
    Replay(
        "backtest_flights",
        "Retraining policies: flights, the nights of 2013",
        "flights",
        "2013-02-01/2014-01-01",
    ),
    Replay(
        "backtest_complaints",
        "Retraining policies: complaints, a night every two weeks from 2014 to 2016, half of the keys",
        "complaints",
        "2014-01-01/2017-01-01",
        every=14,
        share=0.5,
        data=True,
    ),
)


def play(replay: Replay, extracts: Path, home: Path) -> Backtested:
    """Replay; in the same home it goes on where it was stopped."""
    os.environ |= {"EVERGREEN_STORE": str(home / "store"), "EVERGREEN_CACHE": str(home / "cache")}
    asked = Asked(
        Window.parse(replay.span), every=replay.every, share=replay.share, workers=min(os.cpu_count() or 1, backtest.MOST_WORKERS)
    )
    past = Past(sample=True, data=extracts if replay.data else None)
    return backtest.run(open_run(replay.problem, replay.name), asked, past)


def home_of(replay: Replay) -> Path:
    """Where it lies while it is under way: a kill, not a reboot, may come between."""
    folder = Path(tempfile.gettempdir()) / f"evergreen-{replay.name}"
    folder.mkdir(exist_ok=True)
    return folder


def section(replay: Replay, record: Backtested) -> str:
    """Its part of the page as Markdown."""
    columns = ["policy", f"live {record.metric}", "against never", "against nightly", "trained", "promoted"]
    header = [*columns, "minutes", "alarms (false)"]
    rows = [_row(one) for one in sorted(record.policies, key=lambda one: one.minutes)]
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    nights = f"{record.policies[0].num_nights} nights, {record.num_rows:,} labelled answers"
    share = f", {record.share:.0%} of the keys" if record.share < 1 else ""
    about = (
        f"{nights}{share}, every policy with what was known on each night (docs/backtest.md). Quality is the "
        f"mean over {record.piece_days} days at a time, with 95 % intervals over these pieces; gains are paired piece by piece. "
        "Minutes are of training and of deciding, as measured on this machine."
    )
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"## {replay.title}\n\n{about}\n\n{table}\n\n{record.sentence}\n"


def _row(one: PolicyOutcome) -> list[str]:
    alarms = "" if one.num_alarms is None else f"{one.num_alarms} ({one.num_false_alarms})"
    told = [one.policy, f"{one.quality.value:.4f} ({one.quality.low:.4f} to {one.quality.high:.4f})"]
    told += [_gain(one.over_never), _gain(one.over_nightly), f"{one.num_trained}", f"{one.num_promoted}"]
    return [*told, f"{one.minutes:.1f}", alarms]


def _gain(one: Interval | None) -> str:
    return "" if one is None else f"{one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
