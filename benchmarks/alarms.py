"""How often drift alarms ring without a cause, and how soon with one; Evidently's defaults on the same rows.

Two tables. The first counts alarms in quarters without drift against the budget that the problem file states. The second plants
drifts and counts the days until they are seen and named.
"""

import argparse
import json
import os
import platform
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks import alarm_worlds as worlds
from benchmarks.alarm_worlds import PLANTED, Planted, Stream
from benchmarks.evidently_defaults import verdict
from ml.monitor import judge
from ml.monitor.delay import Waits, of_delay
from ml.monitor.evidence import Evidence
from ml.problem import Drift

REPLAYS = 500
SURE = 0.999  # of the binomial bound: nine cells are looked at
LAST = 14  # days after which a drift counts as missed
ROWS = 1000
CALM_DAYS = 5


def main() -> None:
    """Run both, print the tables, and as the last line everything as JSON."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--replays", type=int, default=REPLAYS, help="quarters without drift per cell of the first table")
    given.add_argument("--repeats", type=int, default=5, help="streams per planted drift")
    asked = given.parse_args()
    quiet = [*budget(asked.replays, 0.0), *budget(max(1, asked.replays // 5), 0.3)]
    for row in quiet:
        print(told_budget(row))
    planted = [power(one, asked.repeats) for one in PLANTED]
    for row in planted:
        print(f"{row['drift']:<38} days: ours {row['ours']}, Evidently {row['evidently']}, its column {row['evidently_column']}")
    planted.append(late_labels(asked.repeats))
    print(f"{planted[-1]['drift']:<38} days: ours {planted[-1]['ours']}, Evidently {planted[-1]['evidently']}")
    crying = wolf()
    print(f"no drift, {crying['days']} days: ours {crying['ours']} alarms; Evidently flags columns on {crying['evidently']} days")
    goals = _goals(quiet, planted)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "at": datetime.now(UTC).isoformat(timespec="seconds")}
    print(json.dumps({"bench": "alarms", "machine": machine, "goals": goals, "rows": [*quiet, *planted, crying]}))


def budget(replays: int, moves: float) -> Iterator[dict[str, Any]]:
    """Alarms in quarters without drift, by traffic and number of columns.

    `part` is what columns may use up of the budget: one kind of finding of six. Days that move are held to the whole budget, see
    docs/adr/0018: how heavy their tail is cannot be known from 53 days.
    """
    policy = Drift()
    for rows in (200, 2000, 20_000):
        for columns in (10, 50, 200):
            rng = np.random.default_rng([rows, columns, int(100 * moves)])
            found = [worlds.quiet_quarter(rng, rows, columns, moves, policy) for _ in range(replays)]
            days, chance = replays * worlds.QUARTER, policy.level * (6 if moves else 1)
            alarms, alone = (sum(one[place] for one in found) for place in (0, 1))
            bound = int(stats.binom.ppf(SURE, days, chance))
            yield {
                "rows_a_day": rows,
                "columns": columns,
                "days_move": moves,
                "replays": replays,
                "alarms": alarms,
                "test_alone": alone,
                "bound": bound,
                "holds": max(alarms, alone) <= bound if not moves else alarms <= bound,
            }


def told_budget(row: dict[str, Any]) -> str:
    """A line of the first table."""
    where = f"{row['rows_a_day']:>6} rows {row['columns']:>4} columns, days move by {row['days_move']:g} sd"
    rang = f"{row['alarms']:>4} alarms in {row['replays']} quarters, test alone {row['test_alone']:>4}"
    return f"{where}: {rang}, bound {row['bound']}{'' if row['holds'] else '  EXCEEDED'}"


def power(planted: Planted, repeats: int) -> dict[str, Any]:
    """Days until a planted drift is seen and named; of Evidently's defaults also until its data set test or its quality fails.

    Evidently is asked about the first stream only: a report of its takes seconds. None: not within a fortnight.
    """
    ours: list[int | None] = []
    theirs: dict[str, int | None] = {"alarm": None, "column": None}
    for seed in range(repeats):
        ours.append(None)
        for day, held, whole, labelled in _days(planted, np.random.default_rng([seed, 7])):
            found = judge.findings(held, worlds.problem(*planted.columns)) if ours[-1] is None else []
            if any(one.drifted and (one.kind, one.subject) == (planted.kind, planted.subject) for one in found):
                ours[-1] = day
            if seed == 0 and None in theirs.values():
                said = verdict(whole, held, labelled)
                theirs["alarm"] = theirs["alarm"] or (day if said.alarm else None)
                theirs["column"] = theirs["column"] or (day if planted.subject in said.columns else None)
            if ours[-1] is not None and (seed or None not in theirs.values()):
                break
    return {"drift": planted.name, "ours": ours, "evidently": theirs["alarm"], "evidently_column": theirs["column"]}


def late_labels(repeats: int) -> dict[str, Any]:
    """Labels that took 12 to 36 hours take two days more. No preset of Evidently's looks at when labels come."""
    ours: list[int | None] = []
    for seed in range(repeats):
        rng, before = np.random.default_rng([seed, 9]), 21
        taken = rng.uniform(12, 36, (before + LAST, ROWS))
        taken[before:] += 48
        seen = (day for day in range(1, LAST + 1) if of_delay(_waits(taken[: before + day]), Drift()).drifted)
        ours.append(next(seen, None))
    return {"drift": "labels come two days later", "ours": ours, "evidently": None, "evidently_column": None}


def _waits(taken: npt.NDArray[np.float64]) -> Waits:
    """What is known of labels at the end of the last day, of days with so many hours to their labels each."""
    days, rows = taken.shape
    ages = np.repeat(24.0 * np.arange(days, 0, -1) - 12, rows)
    dates = np.repeat((np.datetime64(worlds.ONSET) + np.arange(days)).astype(str), rows)
    return Waits(ages, np.where(taken.ravel() <= ages, taken.ravel(), np.nan), dates)


def wolf() -> dict[str, Any]:
    """A stream of fifty columns without drift."""
    asked, ours, evidently = worlds.problem(*worlds.CALM.columns), 0, 0
    for day, held, whole, labelled in _days(worlds.CALM, np.random.default_rng(8)):
        ours += any(one.drifted for one in judge.findings(held, asked))
        evidently += bool(verdict(whole, held, labelled).columns)
        if day == CALM_DAYS:
            break
    return {"days": CALM_DAYS, "ours": ours, "evidently": evidently}


def _days(planted: Planted, rng: np.random.Generator) -> Iterator[tuple[int, Evidence, Stream, Stream]]:
    """Days from the onset on, counted from 1: what the monitor holds, the reference, the newest day that has labels.

    Labels come a day later; those of a week are looked at.
    """
    before = [worlds.calm(rng, ROWS // 5, *planted.columns) for _ in range(worlds.REFERENCE_DAYS)]
    reference, whole = worlds.reference_of(before)
    history = [worlds.calm(rng, ROWS, *planted.columns) for _ in range(7)]
    for day in range(1, LAST + 1):
        today = worlds.calm(rng, ROWS, *planted.columns)
        planted.plant(today, rng, day - 1)
        yield day, worlds.evidence_of(today, history[-7:], reference, day), whole, history[-1]
        history.append(today)


def _goals(quiet: list[dict[str, Any]], planted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    broken = sum(not row["holds"] for row in quiet)
    missed = sum(delay is None for row in planted for delay in row["ours"])
    return [
        {"name": "cells of the table outside the budget", "value": broken, "unit": "cells", "goal": 0, "holds": broken == 0},
        {"name": "planted drifts missed in a fortnight", "value": missed, "unit": "streams", "goal": 0, "holds": missed == 0},
    ]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
