"""What validation costs: a suite of 25 rules on a million rows with one bad row in a hundred, beside one Polars pass.

Each case runs in a process of its own. `judge` is verdict and exact quarantine of rows in memory, as Polars has them; `stage` is
the whole stage from the Delta table `raw` to `valid` and `quarantine`, history rules included.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import validation_data as data
from benchmarks.memory import peak_mb

MILLION = 1_000_000
REPEATS = 5
HOLD = 4.0  # times the Polars pass
GROWTH = 400  # megabytes that four million more rows may take: 100 bytes each, about what a row itself takes in Arrow


def main() -> None:
    """Run the cases, print the table, and as the last line everything as JSON."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--case", choices=list(CASES), help="run one case in this process and print it as JSON")
    given.add_argument("--rows", type=int, default=MILLION)
    given.add_argument("--home", type=Path)
    asked = given.parse_args()
    if asked.case:
        print(json.dumps(CASES[asked.case](asked.rows, asked.home)))
        return
    rows = [_apart("polars"), _apart("judge"), _apart("public"), *_stages()]
    for row in rows:
        told = f"{row['case']:<10} {row['rows']:>9,} rows {row['seconds']:8.2f} s {row['cpu_s']:8.2f} CPU-s"
        print(f"{told} {row['base_mb']:6.0f} to {row['peak_mb']:5.0f} MB  {row['note']}")
    print(json.dumps({"bench": "validate", "machine": _machine(), "goals": _goals(rows), "rows": rows}))


def _goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_case = {(row["case"], row["rows"]): row for row in rows}
    polars, judge = by_case["polars", MILLION], by_case["judge", MILLION]
    small, large = by_case["stage", MILLION], by_case["stage", 5 * MILLION]
    times = judge["seconds"] / polars["seconds"]
    growth = large["peak_mb"] - small["peak_mb"]
    same = judge["bad"] == polars["bad"] == small["bad"]
    return [
        _goal("verdict and exact quarantine against one Polars pass", times, "times", HOLD, times <= HOLD),
        _goal("memory of 5 M rows over that of 1 M", growth, "MB", GROWTH, growth <= GROWTH),
        _goal("rows set aside, as many as by Polars", judge["bad"], "rows", polars["bad"], same),
    ]


def _goal(name: str, value: float, unit: str, goal: float, holds: bool) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "holds": holds}


def _apart(case: str, rows: int = MILLION, home: str = "") -> dict[str, Any]:
    """One case in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.validate", "--case", case, "--rows", str(rows)]
    done = subprocess.run(command + (["--home", home] if home else []), check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"case": case, "rows": rows} | found


def _stages() -> list[dict[str, Any]]:
    found = []
    for rows in (MILLION, 5 * MILLION):
        with tempfile.TemporaryDirectory() as home:
            _apart("fill", rows, home)
            found.append(_apart("stage", rows, home))
    return found


def _measured(work: Callable[[], Any], note: Callable[[Any], str], repeats: int = REPEATS) -> tuple[dict[str, Any], Any]:
    """Median of a few runs; memory of the process before and at its highest."""
    base, seconds, cpu = peak_mb(), [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.process_time()
        result = work()
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)
    about = {"seconds": statistics.median(seconds), "cpu_s": statistics.median(cpu), "base_mb": base, "peak_mb": peak_mb()}
    return about | {"note": note(result)}, result


def _polars(num_rows: int, home: Path | None) -> dict[str, Any]:
    rows = pa.concat_tables(data.pieces(num_rows)).combine_chunks()
    data.polars_pass(rows.slice(0, 1000))
    about, (_, _, good, bad) = _measured(lambda: data.polars_pass(rows), lambda _: "one lazy query, written by hand")
    return about | {"bad": bad.height, "good": good.height}


def _judge(num_rows: int, home: Path | None) -> dict[str, Any]:
    from ml.validate import split, suite

    rows = pa.concat_tables(data.pieces(num_rows)).combine_chunks()
    rules = suite.load(_suite())

    def work() -> tuple[pa.Table, pa.Table]:
        outcomes = suite.judge(rows, rules)
        return split.separate(rows, split.bad_rows(outcomes), run_key="bench")

    suite.judge(rows.slice(0, 1000), rules)
    about, (_, bad) = _measured(work, lambda _: "Great Expectations on the columns a rule needs")
    return about | {"bad": bad.num_rows, "most_rules_of_a_row": max(len(row) for row in bad["_rules"].to_pylist())}


def _public(num_rows: int, home: Path | None) -> dict[str, Any]:
    """Great Expectations as its manual says: a batch of a data source, asked for yes or no, then for each failed rule."""
    import great_expectations as gx

    from ml.validate import suite

    rows = pa.concat_tables(data.pieces(num_rows)).combine_chunks()
    rules = suite.load(_suite())
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("batch").add_dataframe_asset("batch")
    frames = asset.add_batch_definition_whole_dataframe("whole")

    def work() -> int:
        batch = frames.get_batch({"dataframe": rows.to_pandas()})
        answers = batch.validate(rules, result_format="BOOLEAN_ONLY").results
        failed = [answer.expectation_config.to_domain_obj() for answer in answers if not answer.success]
        return len([batch.validate(rule, result_format="COMPLETE") for rule in failed])

    about, _ = _measured(work, lambda failed: f"its public interface, {failed} rules asked again", repeats=1)
    return about


def _fill(num_rows: int, home: Path | None) -> dict[str, Any]:
    from ml.records import Ingested
    from ml.window import Window

    context, span = _context(home), Window.parse("2024-01-01/2024-01-31")
    batches = (batch for piece in data.pieces(num_rows) for batch in piece.to_batches())
    staged = context.table("raw").stage(batches, next(data.pieces(10)).schema)
    version = context.table("raw").commit(staged, span)
    by_day = staged.num_rows_by_day
    context.write(
        Ingested(start=span.start, end=span.end, version=version, num_rows=num_rows, num_rows_by_day=by_day, changed=True)
    )
    return {}


def _stage(num_rows: int, home: Path | None) -> dict[str, Any]:
    import great_expectations.expectations.core
    import pandas
    import polars

    from ml import validate

    assert great_expectations and pandas and polars  # the memory of the process before it has seen a row
    context = _context(home)
    about, record = _measured(lambda: validate.run(context), lambda _: "raw to valid and quarantine, as every night", repeats=1)
    return about | {"bad": record.num_quarantined, "good": record.num_valid}


def _context(home: Path | None) -> Any:
    from ml.context import open_run

    assert home is not None
    (home / "bench.toml").write_text(data.PROBLEM)
    (home / "bench.raw.json").write_text(json.dumps(data.SUITE))
    os.environ |= {"EVERGREEN_STORE": str(home / "store"), "EVERGREEN_PROBLEMS": str(home), "EVERGREEN_EXPECTATIONS": str(home)}
    return open_run("bench", "bench", reason="schedule")


def _suite() -> Path:
    path = Path(tempfile.mkdtemp()) / "bench.raw.json"
    path.write_text(json.dumps(data.SUITE))
    return path


def _machine() -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "at": datetime.now(UTC).isoformat(timespec="seconds")}


CASES: dict[str, Callable[[int, Path | None], dict[str, Any]]] = {
    "polars": _polars,
    "judge": _judge,
    "public": _public,
    "fill": _fill,
    "stage": _stage,
}

if __name__ == "__main__":
    main()
