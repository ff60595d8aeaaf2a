"""A smaller version of `python -m benchmarks.alarms`, and what Evidently's defaults miss or cry wolf at on the same rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from benchmarks import alarm_worlds as worlds
from benchmarks.alarm_worlds import CALM, PLANTED, Planted, Stream
from ml.monitor import judge
from ml.monitor.evidence import Evidence
from ml.problem import Drift
from ml.records import DriftFinding

QUARTERS, WIDE, ROWS = 20, (18, 2), 500


@pytest.mark.parametrize("moves", [0.0, 0.3])
@pytest.mark.parametrize(("rows", "columns"), [(200, 50), (2000, 10), (20_000, 10)])
def test_quarters_without_drift_stay_within_the_binomial_bounds_of_the_budget(rows, columns, moves):
    """Independent rows within the sixth that one kind of finding has; days that move within the whole budget."""
    rng, policy = np.random.default_rng([rows, columns]), Drift()
    found = [worlds.quiet_quarter(rng, rows, columns, moves, policy) for _ in range(QUARTERS)]
    bound = stats.binom.ppf(0.999, QUARTERS * worlds.QUARTER, policy.level * (6 if moves else 1))
    assert sum(alarms for alarms, _ in found) <= bound
    assert sum(alone for _, alone in found) <= bound, "without the help of the smallest effect"


def days_until_seen(planted: Planted, most: int) -> int | None:
    rng, asked = np.random.default_rng(3), worlds.problem(*planted.columns)
    reference, _ = worlds.reference_of([worlds.calm(rng, 200, *planted.columns) for _ in range(worlds.REFERENCE_DAYS)])
    history = [worlds.calm(rng, ROWS, *planted.columns) for _ in range(7)]
    for day in range(most):
        today = worlds.calm(rng, ROWS, *planted.columns)
        planted.plant(today, rng, day)
        found = judge.findings(worlds.evidence_of(today, history[-7:], reference, day), asked)
        history.append(today)
        if (planted.kind, planted.subject) in {(one.kind, one.subject) for one in found if one.drifted}:
            return day + 1
    return None


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name.split(":")[0])
def test_every_planted_drift_is_seen_within_a_week_and_named(planted):
    assert days_until_seen(planted, 7) is not None


@pytest.fixture(scope="module")
def calm() -> tuple[Stream, Evidence]:
    """Twenty columns: the reference, and a day without drift."""
    rng = np.random.default_rng(6)
    reference, whole = worlds.reference_of([worlds.calm(rng, 30, *WIDE) for _ in range(worlds.REFERENCE_DAYS)])
    return whole, worlds.evidence_of(worlds.calm(rng, ROWS, *WIDE), [], reference, 1)


def ours(held: Evidence) -> list[DriftFinding]:
    return [one for one in judge.findings(held, worlds.problem(*WIDE)) if one.drifted]


def changed(held: Evidence, name: str, values: Any) -> Evidence:
    return replace(held, columns=held.columns | {name: pa.chunked_array([pa.array(values)])})


def evidently(whole: Stream, held: Evidence) -> dict[str | None, str]:
    """Statuses of the data drift preset's tests by column; None: that of the data set."""
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = worlds.columns_of(whole)
    sides = [pd.DataFrame({name: one[name].to_numpy() for name in one}) for one in (held.columns, columns)]
    tests = Report([DataDriftPreset()], include_tests=True).run(*map(Dataset.from_pandas, sides)).dict()["tests"]
    return {test["metric_config"]["params"].get("column"): test["status"] for test in tests}


@pytest.mark.filterwarnings("ignore")
def test_evidentlys_data_set_test_misses_one_moved_column_and_drops_missing_values_first(calm):
    whole, held = calm
    moved = changed(held, "n7", held.columns["n7"].to_numpy() + 15)
    moved = changed(moved, "n3", np.where(np.arange(ROWS) % 3 == 0, np.nan, held.columns["n3"].to_numpy()))
    theirs = evidently(whole, moved)
    assert theirs["n7"] == "FAIL" and theirs[None] == "SUCCESS", "its data set drifts from half of the columns on"
    assert theirs["n3"] == "SUCCESS", "a third of the values are gone"
    assert {one.subject for one in ours(moved)} == {"n3", "n7"}


@pytest.mark.filterwarnings("ignore")
def test_a_quiet_day_is_quiet_where_evidently_flags_columns(calm):
    whole, held = calm
    quiet = worlds.evidence_of(worlds.calm(np.random.default_rng(9), 200, *WIDE), [], held.reference, 1)
    assert "FAIL" in evidently(whole, quiet).values()
    assert ours(quiet) == []


@pytest.mark.filterwarnings("ignore")
def test_a_column_without_values_is_a_finding_where_evidently_dies(calm):
    whole, held = calm
    empty = changed(held, "n3", np.full(ROWS, np.nan))
    with pytest.raises(Exception, match=r"."):
        evidently(whole, empty)
    assert {one.subject for one in ours(empty)} == {"n3"}


def test_a_hairs_breadth_at_twenty_thousand_rows_is_no_drift():
    """Evidently's Kolmogorov-Smirnov flags most columns there."""
    rng = np.random.default_rng(11)
    reference, _ = worlds.reference_of([worlds.calm(rng, 200, *WIDE) for _ in range(worlds.REFERENCE_DAYS)])
    today = worlds.calm(rng, 20_000, *WIDE)
    today.numbers += 0.03 * 3
    assert not [one for one in ours(worlds.evidence_of(today, [], reference, 1)) if one.kind == "data"]


def test_a_stream_without_drift_has_nothing_to_be_seen():
    assert days_until_seen(replace(CALM, columns=(8, 4), kind="data", subject="n0"), 3) is None
