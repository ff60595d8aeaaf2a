"""What the monitor costs: half a million requests of a day, twenty columns, beside Evidently's preset on the same rows.

Each case runs in a process of its own. `read` gathers a day's requests from the log in PostgreSQL and the champion's rows from
its run folder; `decide` is every finding about them, with its sentence.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.memory import peak_mb

ROWS, NUMBERS, CATEGORIES, REFERENCE_DAYS = 500_000, 14, 6, 53
AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOLD_S, GROWTH_MB = 5.0, 300.0  # 750 bytes per request: its id, key, score and moment, as text and as columns
CHUNK = 20_000


def main() -> None:
    """Run the cases, print the table, and as the last line everything as JSON."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--case", choices=list(CASES), help="run one case in this process and print it as JSON")
    given.add_argument("--rows", type=int, default=ROWS)
    given.add_argument("--home", type=Path)
    given.add_argument("--url", default="")
    asked = given.parse_args()
    if asked.case:
        warnings.simplefilter("ignore")
        print(json.dumps(CASES[asked.case](asked.rows, asked.home, asked.url)))
        return
    rows = [*_ours(ROWS // 5), *_ours(ROWS), _apart("evidently", ROWS)]
    for row in rows:
        print(f"{row['case']:<10} {row['rows']:>8,} rows {row['seconds']:8.2f} s, peak {row['peak_mb']:6.0f} MB  {row['note']}")
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "at": datetime.now(UTC).isoformat(timespec="seconds")}
    print(json.dumps({"bench": "monitor", "machine": machine, "goals": _goals(rows), "rows": rows}))


def _goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_case = {(row["case"], row["rows"]): row for row in rows}
    seconds = by_case["decide", ROWS]["seconds"]
    growth = by_case["decide", ROWS]["peak_mb"] - by_case["decide", ROWS // 5]["peak_mb"]
    return [
        _goal("decisions about 500,000 rows by 20 columns, after reading", seconds, "s", HOLD_S),
        _goal("memory, reading included, of 500,000 requests over that of 100,000", growth, "MB", GROWTH_MB),
    ]


def _goal(name: str, value: float, unit: str, goal: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "holds": value <= goal}


def _ours(rows: int) -> list[dict[str, Any]]:
    """A production with so many requests of one day, and a process that judges them."""
    from ml import database
    from ml.embedded.postgres import OWNER, READER, Postgres
    from ml.embedded.processes import free_port

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        server = Postgres(home, free_port(0), dict.fromkeys(("postgres", OWNER, READER), "bench"))
        server.start()
        try:
            url = server.create_database("monitor")
            database.migrate(url)
            _apart("fill", rows, home, url)
            found = _apart("judge", rows, home, url)
        finally:
            server.stop()
    return [{"case": case, "rows": rows} | found[case] for case in ("read", "decide")]


def _apart(case: str, rows: int, home: Path | None = None, url: str = "") -> dict[str, Any]:
    """One case in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.monitor", "--case", case, "--rows", str(rows), "--url", url]
    done = subprocess.run(command + (["--home", str(home)] if home else []), check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"case": case, "rows": rows} | found


def _drawn(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    """Twenty columns: numbers of all shapes, categories with few and with many values."""
    numbers = {f"n{place}": rng.gamma(1 + place % 4, 10, rows).round(3) for place in range(NUMBERS)}
    most = (3, 8, 20, 60, 200, 1000)
    return numbers | {f"c{place}": np.minimum(rng.zipf(1.4, rows), most[place]).astype(str) for place in range(CATEGORIES)}


def _fill(rows: int, home: Path | None, url: str) -> dict[str, Any]:
    """The champion's run folder with as many rows, and a day of requests."""
    from ml import requests
    from ml.database import connect

    context, rng = _context(home, url), np.random.default_rng(0)
    _make_champion(context, rng, rows)
    with closing(connect(url)) as connection:
        for first in range(0, rows, CHUNK):
            columns, scores = _drawn(rng, CHUNK), rng.beta(2, 5, CHUNK)
            asked = requests.Request(
                request_id=f"r{first}",
                problem="bench",
                version=1,
                served_at=AT - timedelta(hours=20) + timedelta(milliseconds=first),
                keys=[f"k{first + place}" for place in range(CHUNK)],
                rows=pa.table(columns).to_pylist(),
                answers=[{"score": float(score), "decision": bool(score >= 0.5)} for score in scores],
            )
            requests.append(connection, [asked])
    return {}


def _make_champion(context: Any, rng: np.random.Generator, rows: int) -> None:
    from ml.ledger import Champion
    from ml.records import Evaluated, Interval, Scores

    first = np.datetime64(AT.date() - timedelta(days=REFERENCE_DAYS + 7))
    days = (first + rng.integers(0, REFERENCE_DAYS, rows)).astype(str)
    with context.store.replacing(context.name("rows.parquet")) as path:
        table = pa.table(_drawn(rng, rows) | {"_day": days, "_part": np.full(rows, "train")})
        pq.write_table(table, path, row_group_size=50_000)
    with context.store.replacing(context.name("scores.parquet")) as path:
        scores = rng.beta(2, 5, 50_000)
        judged = (first + REFERENCE_DAYS + rng.integers(0, 7, len(scores))).astype(str)
        pq.write_table(pa.table({"_day": judged, "_label": rng.random(len(scores)) < scores, "candidate": scores}), path)
    auc = {"auc": Interval(value=0.7, low=0.69, high=0.71)}
    empty: dict[str, Any] = {name: {} for name in ("baselines", "gains_over", "slice_gains", "slice_rows", "confusion")}
    evaluated = Evaluated(
        num_rows=50_000,
        newest_label=date(2026, 3, 1),
        positive_rate=0.3,
        candidate=Scores(metrics=auc, slices={}),
        champion=None,
        champion_version=None,
        gain_over_champion=None,
        threshold=0.5,
        flips=0,
        calibration_error=0.01,
        days=7,
        **empty,
    )
    context.store.write_json(context.name("evaluate.json"), {"inputs": "", "record": evaluated.model_dump(mode="json")})
    context.ledger.move("bench", to=Champion(1, "made", "digest"), expected=None, kind="promote", key="made", actor="bench")


def _judge(rows: int, home: Path | None, url: str) -> dict[str, Any]:
    import scipy.stats

    from ml.monitor import evidence, judge

    assert scipy.stats  # imported before the clock starts: every decision after the first finds it there
    context = _context(home, url)
    champion = context.ledger.champion("bench")
    assert champion is not None
    base, began = peak_mb(), time.perf_counter()
    held = evidence.gather(context, champion, AT)
    read, between = time.perf_counter(), peak_mb()
    found = judge.findings(held, context.problem)
    took, after = time.perf_counter() - read, peak_mb()
    kinds = sorted({one.kind for one in found})
    return {
        "read": {"seconds": read - began, "peak_mb": between, "grown_mb": between - base, "note": "log and run folder"},
        "decide": {
            "seconds": took,
            "peak_mb": after,
            "grown_mb": after - between,
            "note": f"{len(found)} findings ({', '.join(kinds)}), {sum(bool(one.drifted) for one in found)} of them drift",
        },
    }


def _evidently(rows: int, home: Path | None, url: str) -> dict[str, Any]:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    rng = np.random.default_rng(0)
    sides = [pd.DataFrame(_drawn(rng, rows)) for _ in range(2)]
    names = list(sides[0])
    definition = DataDefinition(
        numerical_columns=[name for name in names if name.startswith("n")],
        categorical_columns=[name for name in names if name.startswith("c")],
    )
    base, began = peak_mb(), time.perf_counter()
    told = Report([DataDriftPreset()], include_tests=True).run(
        *(Dataset.from_pandas(one, data_definition=definition) for one in sides)
    )
    tests = told.dict()["tests"]
    return {
        "seconds": time.perf_counter() - began,
        "peak_mb": peak_mb(),
        "grown_mb": peak_mb() - base,
        "note": f"DataDriftPreset, {len(tests)} tests",
    }


def _context(home: Path | None, url: str) -> Any:
    from ml.context import Context
    from ml.problem import Problem
    from ml.settings import DEFAULTS, Settings

    assert home is not None
    clock = home / "clock"
    clock.write_text(AT.isoformat())
    features = {f"n{place}": {"type": "number"} for place in range(NUMBERS)}
    features |= {f"c{place}": {"type": "category"} for place in range(CATEGORIES)}
    about = {"name": "bench", "title": "?", "task": "binary", "owner": "benchmarks"}
    source = {"table": "t", "key": "k", "event_time": "e", "label": "l", "label_time": "lt"}
    problem = Problem.model_validate({"problem": about, "source": source, "features": features})
    places: dict[str, Any] = {"store": str(home / "store"), "database_url": url, "clock_file": clock}
    return Context(problem, Settings(**{**DEFAULTS, "problems": home, "expectations": home} | places), "made")


CASES: dict[str, Callable[[int, Path | None, str], dict[str, Any]]] = {"fill": _fill, "judge": _judge, "evidently": _evidently}

if __name__ == "__main__":
    main()
