"""Run every study and write the page: `python -m benchmarks.results [--only NAME] [--data FOLDER]`."""

import argparse
import json
import logging
import os
import platform
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.results import backtests, nights
from benchmarks.results.backtests import REPLAYS, Replay
from benchmarks.results.nights import World
from benchmarks.results.page import page, sections, with_section
from benchmarks.results.studies import STUDIES, Study, plain, source
from ml.records.backtest import Backtested
from ml.samples.extracts import DISPUTES
from ml.settings import PROJECT

PAGE = PROJECT / "docs" / "results.md"


def run() -> None:
    """Every study that has its data; the figures also as JSON on the last line."""
    given = argparse.ArgumentParser(description=__doc__)
    names = [study.name for study in (*STUDIES, *REPLAYS)]
    given.add_argument("--only", choices=names, help="one study, shown and not written; of a backtest its section is written")
    given.add_argument("--data", type=Path, help="folder with the complaints' extracts; default: EVERGREEN_DATA, ../shared/data")
    asked = given.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    extracts = asked.data or Path(os.environ.get("EVERGREEN_DATA", PROJECT.parent / "shared" / "data"))
    began, found = time.monotonic(), {}
    for study in STUDIES:
        if asked.only not in (None, study.name):
            continue
        if study.data and not (extracts / study.data).exists():
            logging.warning("%s is left out: %s is not there. Name the folder with --data.", study.name, extracts / study.data)
            continue
        with tempfile.TemporaryDirectory(prefix="evergreen-results-") as home, nights.world(Path(home)) as world:
            found[study.name] = _study(study, world, source(study, extracts, Path(home)))
    text = _studies(found, time.monotonic() - began) if found else PAGE.read_text()
    replayed = {}
    for replay in REPLAYS:
        if asked.only in (None, replay.name) and (record := _replayed(replay, extracts)):
            replayed[replay.name] = record.model_dump(mode="json")
            text = with_section(text, backtests.section(replay, record))
    print(text)
    if asked.only is None or replayed:
        PAGE.write_text(text)
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({"bench": "results", "machine": machine, "goals": [], "rows": found | replayed}))


def _replayed(replay: Replay, extracts: Path) -> Backtested | None:
    """A backtest, gone on with where it was stopped; None where its data are not there."""
    if replay.data and not (extracts / DISPUTES).exists():
        logging.warning("%s is left out: %s is not there. Name the folder with --data.", replay.name, extracts / DISPUTES)
        return None
    home = backtests.home_of(replay)
    record = backtests.play(replay, extracts, home)
    shutil.rmtree(home)
    return record


def _studies(found: dict[str, list[dict[str, Any]]], seconds: float) -> str:
    """The page of the studies, with the backtests as they stand."""
    about = {"cores": os.cpu_count(), "python": platform.python_version(), "minutes": round(seconds / 60)}
    text = page({study: found[study.name] for study in STUDIES if study.name in found}, about, datetime.now(UTC).date())
    for kept in sections(PAGE.read_text(), [replay.title for replay in REPLAYS]):
        text = with_section(text, kept)
    return text


def _study(study: Study, world: World, data: Path | None) -> list[dict[str, Any]]:
    """One row a night: whose days, how many rows, the metric of every model, and paired gains."""
    world.problem(study.name, study.text(), study.sample)
    world.load(study.name, study.sample, data)
    plain_nights = [world.night(study.name, study.sample, night, study.days) for night in study.nights]
    others = [None] * len(plain_nights)
    if study.tuned:
        others = [world.tuned(context, search=number == 0) for number, context in enumerate(plain_nights)]
    elif study.without:
        name = f"{study.name}_off"
        world.problem(name, plain(study.text(), name, study.without), study.sample, study.without)
        others = [world.night(name, study.sample, night, study.days) for night in study.nights]
    rows = []
    for context, other in zip(plain_nights, others, strict=True):
        days, num_test, num_train = nights.judged_on(context)
        row = {"days": days, "test": num_test, "train": num_train, "models": _told(nights.quality(context))}
        row["gains"] = {"network over boosting": nights.gain(context, context, "boosting").model_dump(include=KEPT)}
        if other is not None:
            name = "tuned" if study.tuned else "off"
            row["models"] |= {f"{key} {name}": value for key, value in _told(nights.quality(other)).items()}
            best, beside = (other, context) if study.tuned else (context, other)
            title = "tuned over network" if study.tuned else f"{study.without} over none"
            row["gains"][title] = nights.gain(best, beside).model_dump(include=KEPT)
            if study.tuned:
                row["gains"]["tuned over boosting"] = nights.gain(other, context, "boosting").model_dump(include=KEPT)
        rows.append(row)
    return rows


KEPT = {"value", "low", "high"}


def _told(quality: dict[str, Any]) -> dict[str, Any]:
    return {name: interval.model_dump(include=KEPT) for name, interval in quality.items()}


if __name__ == "__main__":
    run()
