"""Statistics of drift: against scipy and Evidently, on data without drift, and on shifts that must be found."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from ml import drift
from ml.monitor import judge
from ml.monitor.answers import Labelled
from ml.monitor.evidence import Evidence, Reference
from ml.monitor.page import NATURAL, drift_section
from ml.problem import Drift, Feature, Problem
from ml.records import DriftFinding, Interval

Floats = npt.NDArray[np.float64]
NUMBER, CATEGORY = Feature(type="number"), Feature(type="category")
SIZES = (2, 3, 5, 10, 16, 30, 100, 400, 2000)  # values of the nine category columns; the last ones have long tails
COUNTS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=12)
VALUES = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=60)


def column(values: Any) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


def categories(rng: np.random.Generator, size: int, num: int) -> list[str]:
    return [str(value) for value in np.minimum(rng.zipf(1.3, size), num)]


def draw(rng: np.random.Generator, size: int) -> dict[str, pa.ChunkedArray]:
    """Eleven numbers (bell-shaped, heavy-tailed, tied, mostly zero, with missing values) and nine categories."""
    numbers = [rng.normal(size=size) for _ in range(4)] + [rng.exponential(size=size) ** 2 for _ in range(3)]
    numbers += [np.round(rng.normal(size=size)) for _ in range(2)]
    numbers += [
        np.where(rng.random(size) < 0.9, 0.0, rng.random(size)),
        np.where(rng.random(size) < 0.1, np.nan, rng.random(size)),
    ]
    columns = {f"number_{index}": column(values) for index, values in enumerate(numbers)}
    return columns | {f"category_{num}": column(categories(rng, size, num)) for num in SIZES}


def problem(names: list[str], **policy: Any) -> Problem:
    features = {name: {"type": "category" if name.startswith("category") else "number"} for name in names}
    about = {"name": "p", "title": "?", "task": "binary", "owner": "tests"}
    source = {"table": "t", "key": "k", "event_time": "e", "label": "l", "label_time": "lt"}
    return Problem.model_validate({"problem": about, "source": source, "features": features, "drift": policy})


def evidence(reference: dict[str, Any], current: dict[str, Any], **changes: Any) -> Evidence:
    size, nothing = len(next(iter(current.values()))), Labelled(np.zeros(0), np.zeros(0), 0, 0, 0)
    learned = Reference(reference, changes.pop("reference_scores", np.linspace(0, 1, 500)), changes.pop("promised", {}))
    parts: dict[str, Any] = {
        "num_requests": size,
        "num_others": 0,
        "scores": np.linspace(0, 1, 500),
        "absent": {},
        "labelled": nothing,
    }
    return Evidence(columns=current, reference=learned, **(parts | changes))


def data_findings(reference: dict[str, Any], current: dict[str, Any], **policy: Any) -> list[DriftFinding]:
    found = judge.findings(evidence(reference, current), problem(list(reference), **policy))
    return [finding for finding in found if finding.kind == "data"]


@pytest.mark.parametrize("size", [200, 1000])
def test_without_drift_two_hundred_nights_raise_no_alarm_and_p_values_are_honest(size):
    rng, alarms, nights_with_a_column, p_values = np.random.default_rng(size), 0, 0, []
    for _ in range(20):
        reference = draw(rng, 10_000)
        for _ in range(10):
            found = data_findings(reference, draw(rng, size))
            alarms += judge.verdicts(found, 0.3)["data"] == "drift"
            nights_with_a_column += any(finding.drifted for finding in found)
            p_values += [finding.p_value for finding in found]
    assert alarms <= 2 and nights_with_a_column <= 2
    below = [float(np.mean(np.array(p_values) < level)) for level in (0.05, 0.01)]
    assert 0.03 < below[0] < 0.07 and 0.004 < below[1] < 0.018, "too few are as wrong as too many: they would find nothing"


def test_on_few_rows_where_every_distance_is_large_chance_is_ruled_out_over_all_columns_at_once():
    rng, nights, large = np.random.default_rng(7), 0, 0
    for _ in range(10):
        reference = draw(rng, 5000)
        for _ in range(20):
            found = data_findings(reference, draw(rng, 40), minimum_rows=20)
            nights += any(finding.drifted for finding in found)
            large += any((finding.value or 0) >= 0.2 for finding in found)
    assert large > 150, "the distance alone would cry wolf nearly every night"
    assert nights <= 6, "at most 1 % of nights, give or take chance, not 1 % of columns"


@pytest.mark.parametrize("size", [1000, 5000])
@pytest.mark.parametrize("num", [400, 2000])
def test_new_and_thin_values_in_a_long_tail_are_no_drift(num, size):
    rng = np.random.default_rng(num)
    p_values = []
    for _ in range(150):
        found = drift.cells(column(categories(rng, 5000, num)), column(categories(rng, size, num)), CATEGORY, timezone="UTC")
        p_values.append(drift.shift(found).p_value)
    assert np.mean(np.array(p_values) < 0.01) < 0.05


@pytest.mark.parametrize("size", [200, 1000])
@pytest.mark.parametrize("change", ["shift", "missing", "category"])
def test_a_shift_of_one_column_in_twenty_is_found_and_no_other_column_is_blamed(size, change):
    rng = np.random.default_rng(size)
    reference, current = draw(rng, 10_000), draw(rng, size)
    moved = "category_10" if change == "category" else "number_0"
    values = {
        "shift": rng.normal(size=size) + 1,
        "missing": np.where(rng.random(size) < 0.3, np.nan, rng.normal(size=size)),
        "category": ["brand new" if rng.random() < 0.4 else value for value in categories(rng, size, 10)],
    }[change]
    found = data_findings(reference, current | {moved: column(values)})
    assert [finding.subject for finding in found if finding.drifted] == [moved]
    assert judge.verdicts(found, 0.3)["data"] == "no drift", "one of twenty is told, but it is no drift of the data set"


def test_a_new_category_of_one_percent_is_told_with_its_share_and_its_small_effect():
    rng = np.random.default_rng(1)
    reference = {"category_3": column(rng.choice(["a", "b", "c"], 10_000))}
    current = {"category_3": column(["new"] * 10 + rng.choice(["a", "b", "c"], 990).tolist())}
    (found,) = data_findings(reference, current)
    assert found.drifted is False and "1.0% not seen in training ('new')" in found.sentence
    assert found.p_value is not None and found.p_value < 1e-6, "chance is ruled out; the shift is only too small to act on"
    assert found.value is not None and 0.05 < found.value < 0.1


@given(COUNTS)
def test_distance_is_scipys_lies_in_range_and_is_symmetric(pairs):
    reference, current = np.array(pairs).T
    found = drift.distance(reference, current)
    assert 0 <= found <= 1 and found == pytest.approx(drift.distance(current, reference), abs=1e-12)
    if reference.sum() and current.sum():
        theirs = jensenshannon(reference, current, base=2)
        assert found == pytest.approx(0.0 if math.isnan(theirs) else theirs, abs=1e-7)
        assert drift.distance(reference, 7 * reference) == pytest.approx(0, abs=1e-7)


@given(COUNTS)
def test_p_value_lies_in_range_is_symmetric_and_is_scipys_where_every_cell_is_filled(pairs):
    reference, current = np.array(pairs).T
    found = drift.p_value(reference, current)
    assert 0 <= found <= 1 and found == pytest.approx(drift.p_value(current, reference), rel=1e-6, abs=1e-12)
    table = np.array(pairs).T
    if len(pairs) > 1 and table.sum(axis=1).min() > 0 and table.sum(axis=0).min() > 0:
        expected = stats.contingency.expected_freq(table)
        if expected.min() >= drift.EXPECTED:
            assert found == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9, abs=1e-300)


def test_thin_cells_are_put_together_or_tested_exactly():
    assert drift.p_value([1000, 1000, 0], [50, 50, 1]) > 0.05, "one unheard-of value is no alarm"
    assert drift.p_value([1000, 1000, 0], [50, 50, 20]) < 1e-10, "twenty are"
    pooled = drift.p_value([1000, 30, 30, 30], [100, 3, 3, 3])
    assert pooled == pytest.approx(stats.chi2_contingency([[1000, 90], [100, 9]], correction=False).pvalue)


def test_a_small_sample_that_lies_in_a_thin_cell_only_is_a_shift():
    """A column that a day's few requests leave empty, and that no training row does."""
    assert drift.p_value([13_000, 14_000, 0], [0, 0, 300]) < 1e-6


@given(COUNTS.filter(lambda pairs: min(np.array(pairs).sum(axis=0)) == 0))
def test_an_empty_sample_is_no_shift(pairs):
    reference, current = np.array(pairs).T
    assert drift.distance(reference, current) == 0 and drift.p_value(reference, current) == 1


@pytest.mark.parametrize("shifted", [False, True])
def test_evidently_measures_the_same_distance_on_the_same_cells(shifted):
    rng = np.random.default_rng(3)
    reference, current = draw(rng, 3000), draw(rng, 800)
    if shifted:
        current |= {"number_0": column(rng.normal(size=800) + 1), "category_5": column(["new"] * 800)}
    compared = {
        name: drift.cells(reference[name], current[name], CATEGORY if "cat" in name else NUMBER, timezone="UTC")
        for name in reference
    }
    section = drift_section(compared, Drift())
    assert section.title and len(section.tests) > 0
    for name, found in compared.items():
        frames = [pd.Series([found.names[code] for code in codes]) for codes in (found.reference, found.current)]
        assert evidentlys_distance(*frames) / NATURAL == pytest.approx(drift.shift(found).distance, abs=1e-9), name


def evidentlys_distance(reference: "pd.Series[Any]", current: "pd.Series[Any]") -> float:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    definition = DataDefinition(categorical_columns=["x"])
    sides = [Dataset.from_pandas(pd.DataFrame({"x": side}), data_definition=definition) for side in (current, reference)]
    snapshot = Report([ValueDrift(column="x", method="jensenshannon", threshold=0.1)], include_tests=True).run(*sides)
    return float(snapshot.dict()["metrics"][0]["value"])


@given(VALUES, VALUES)
@settings(deadline=None)
def test_number_cells_hold_every_row_once_and_have_distinct_names(reference, current):
    found = drift.number_cells(np.array(reference, np.float64), np.array(current, np.float64))
    assert len(set(found.names)) == len(found.names)
    assert found.counts.sum(axis=1).tolist() == [len(reference), len(current)]
    place = found.names.index(drift.MISSING)
    assert found.counts[:, place].tolist() == [int(np.isnan(side).sum()) for side in (reference, current)]


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=2)), max_size=40),
    st.lists(st.one_of(st.none(), st.text(max_size=2)), max_size=40),
)
@settings(deadline=None)
def test_value_cells_hold_every_row_once_and_have_distinct_names(reference, current):
    sides = [pa.chunked_array([pa.array(side, pa.string())]) for side in (reference, current)]
    found = drift.cells(sides[0], sides[1], CATEGORY, timezone="UTC")
    assert len(set(found.names)) == len(found.names)
    assert found.counts.sum(axis=1).tolist() == [len(reference), len(current)]
    assert found.counts[1, -1] == sum(not value for value in current)
    assert found.counts[1, -2] == sum(bool(value) and value not in reference for value in current)


def test_a_value_called_like_a_cell_of_ours_stays_apart():
    found = drift.cells(column(["missing"] * 50 + ["rare"] * 50), column(["missing"] * 50), CATEGORY, timezone="UTC")
    assert found.names == ("'missing'", "'rare'", "rare", "unseen", "missing") and found.share("missing") == 0


def test_infinities_ties_and_constants_are_counted_and_found():
    constant = np.full(1000, 5.0)
    assert drift.shift(drift.number_cells(constant, constant[:200])) == drift.Shift(0.0, 1.0)
    assert drift.shift(drift.number_cells(constant, constant[:200] + 1)).distance == 1.0
    zeros = np.where(np.arange(1000) < 900, 0.0, np.linspace(1, 2, 1000))
    found = drift.number_cells(zeros, np.array([0.0, -1.0, 1.5, np.inf, -np.inf]))
    assert [found.names[code] for code in found.current][:2] == ["0", "below 0"]
    assert found.current[1] == found.current[4] and found.current[2] <= found.current[3]


def test_columns_without_any_value_can_be_compared():
    empty = pa.chunked_array([pa.array([None] * 300, pa.float64())])
    full = column(np.linspace(0, 1, 300))
    assert drift.shift(drift.cells(empty, empty, NUMBER, timezone="UTC")) == drift.Shift(0.0, 1.0)
    for sides in ((empty, full), (full, empty)):
        assert drift.shift(drift.cells(sides[0], sides[1], NUMBER, timezone="UTC")).distance == 1.0


def test_moments_are_compared_by_local_hour_not_by_date():
    january = pd.date_range("2026-01-01", periods=31 * 24, freq="h", tz="UTC").to_pydatetime()
    march = pd.date_range("2026-03-01", periods=20 * 24, freq="h", tz="UTC").to_pydatetime()
    moment, stamps = Feature(type="datetime"), pa.timestamp("us", "UTC")
    sides = [pa.chunked_array([pa.array(list(side), stamps)]) for side in (january, march)]
    assert drift.shift(drift.cells(sides[0], sides[1], moment, timezone="America/New_York")).distance < 0.05
    noon = pa.chunked_array([pa.array([march[17]] * 100, stamps)])
    found = drift.cells(sides[0], noon, moment, timezone="Asia/Tokyo")
    assert {found.names[code] for code in found.current} == {"02 h"}


def test_zips_go_by_prefix_texts_by_words_and_empty_strings_are_missing():
    zips = drift.cells(
        column(["10001", "10002", ""] * 50), column(["10099", "", "99999"] * 20), Feature(type="zip"), timezone="UTC"
    )
    assert [zips.names[code] for code in zips.current[:3]] == ["100", "missing", "unseen"]
    new = drift.unseen(column(["10001"]), column(["10099", "99999", "99988"]), Feature(type="zip"), timezone="UTC")
    assert new == ["999"]
    texts = drift.cells(column(["one two"] * 90 + ["one"] * 90), column(["", "a, b!", "c"]), Feature(type="text"), timezone="UTC")
    assert [texts.names[code] for code in texts.current] == ["missing", "2", "1"]


def test_the_gap_of_calibrated_scores_is_chance_and_of_shifted_ones_is_not():
    rng = np.random.default_rng(4)
    scores = rng.uniform(0.05, 0.6, (300, 400))
    p_values = np.array([drift.rate_gap(row, (rng.random(400) < row).astype(float))[1] for row in scores])
    assert 0.02 < (p_values < 0.05).mean() < 0.09
    gap, p_value = drift.rate_gap(scores[0] + 0.2, (rng.random(400) < scores[0]).astype(float))
    assert gap == pytest.approx(0.2, abs=0.08) and p_value < 1e-6
    assert drift.rate_gap(np.ones(5), np.ones(5)) == (0.0, 1.0) and drift.rate_gap(np.ones(5), np.zeros(5)) == (1.0, 0.0)


def live(labels: Floats, scores: Floats, promised: float, metric: str) -> DriftFinding:
    known = Labelled(scores, labels, 0, 0, 0)
    asked = problem(["number_0"])
    asked = asked.model_copy(update={"success": asked.success.model_copy(update={"metric": metric})})
    one = column(np.zeros(300))
    held = evidence(
        {"number_0": one}, {"number_0": one}, labelled=known, promised={metric: Interval(value=promised, low=0, high=1)}
    )
    return next(finding for finding in judge.findings(held, asked) if finding.subject == metric)


@pytest.mark.parametrize(
    ("metric", "promised", "drifted"),
    [("auc", 0.95, True), ("auc", 0.5, False), ("brier", 0.05, True), ("brier", 0.5, False), ("log_loss", 0.1, True)],
)
def test_only_a_loss_of_quality_is_drift_whichever_way_the_metric_runs(metric, promised, drifted):
    rng = np.random.default_rng(5)
    scores = rng.uniform(0, 1, 3000)
    assert live((rng.random(3000) < scores).astype(float), scores, promised, metric).drifted is drifted


def test_a_loss_that_the_interval_does_not_rule_out_is_no_drift():
    rng = np.random.default_rng(6)
    scores = rng.uniform(0, 1, 200)
    labels = (rng.random(200) < scores).astype(float)
    now = live(labels, scores, 0.8, "auc").value
    assert now is not None
    assert live(labels, scores, now + 0.055, "auc").drifted is False
    assert live(labels, scores, min(now + 0.15, 1.0), "auc").drifted is True


@given(st.lists(st.sampled_from([True, False, None]), max_size=12), st.floats(0.01, 1))
def test_a_kind_drifts_by_its_share_of_what_could_be_assessed(outcomes, share):
    found = [
        DriftFinding(kind="data", subject=str(n), drifted=said, value=None, limit=None, p_value=None, sentence="")
        for n, said in enumerate(outcomes)
    ]
    said = judge.verdicts(found, share)["data"]
    assessable = [outcome for outcome in outcomes if outcome is not None]
    if not assessable:
        assert said == "not assessable"
    else:
        assert (said == "drift") == (any(assessable) and sum(assessable) / len(assessable) >= share)
