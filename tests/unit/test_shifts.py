"""The decision about columns and scores: what budget, weekday, unlike days and many columns make of a shift."""

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pydantic import ValidationError
from scipy import stats

from ml.monitor import judge
from ml.monitor.answers import Labelled
from ml.monitor.evidence import Evidence, Reference
from ml.problem import Drift, Problem
from ml.records import DriftFinding

DAYS, ROWS, TODAY = 56, 300, date(2026, 3, 8)  # a Sunday
REFERENCE = np.repeat(np.datetime64(TODAY) - np.arange(DAYS, 0, -1), ROWS)
WEEKEND = (REFERENCE.astype("datetime64[D]").view(np.int64) + 3) % 7 >= 5


def column(values: npt.NDArray[Any]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


def problem(num_columns: int, **policy: Any) -> Problem:
    about = {"name": "p", "title": "?", "task": "binary", "owner": "tests"}
    source = {"table": "t", "key": "k", "event_time": "e", "label": "l", "label_time": "lt"}
    features = {f"c{place}": {"type": "number"} for place in range(num_columns)}
    return Problem.model_validate({"problem": about, "source": source, "features": features, "drift": policy})


def findings(reference: npt.NDArray[Any], current: npt.NDArray[Any], **policy: Any) -> list[DriftFinding]:
    """Findings about columns, shapes (rows, columns), today a Sunday."""
    names = [f"c{place}" for place in range(reference.shape[1])]
    learned = Reference(
        columns={name: column(reference[:, place]) for place, name in enumerate(names)},
        scores=stats.norm.cdf(reference[:, 0]),
        promised={},
        days=REFERENCE,
        score_days=REFERENCE,
    )
    served = {name: column(current[:, place]) for place, name in enumerate(names)}
    nothing = Labelled(np.zeros(0), np.zeros(0), 0, 0, 0)
    scores = stats.norm.cdf(current[:, 0])
    held = Evidence(len(current), 0, served, scores, {}, learned, nothing, day=TODAY)
    return judge.findings(held, problem(len(names), **policy))


def data(found: list[DriftFinding]) -> list[DriftFinding]:
    return [finding for finding in found if finding.kind == "data"]


def test_the_budget_is_divided_over_days_and_kinds():
    policy = Drift(false_alarms=2, false_alarm_days=100)
    assert policy.level * 100 * 6 == pytest.approx(2) and policy.confidence == 1 - policy.level
    assert 90 * 6 * Drift().level == pytest.approx(1), "at most one in 90 days unless the problem says otherwise"
    with pytest.raises(ValidationError, match="more than one a day"):
        Drift(false_alarms=8, false_alarm_days=7)


@pytest.mark.parametrize("rows", [300, 1000])
def test_one_of_fifty_columns_moved_by_one_deviation_is_seen_and_named(rows):
    """Evidently's preset leaves the data set green until half of the columns have drifted."""
    rng = np.random.default_rng(rows)
    reference, current = rng.normal(size=(len(REFERENCE), 50)), rng.normal(size=(rows, 50))
    current[:, 17] += 1
    found = findings(reference, current)
    assert [finding.subject for finding in found if finding.drifted] == ["c17"]
    assert judge.verdicts(found, Drift().columns_share)["data"] == "drift"


def test_what_one_column_shows_is_told_and_the_share_of_columns_decides_where_a_problem_sets_it():
    rng = np.random.default_rng(2)
    reference, current = rng.normal(size=(len(REFERENCE), 10)), rng.normal(size=(500, 10))
    current[:, 3] += 1
    found = findings(reference, current)
    assert judge.verdicts(found, 0.3)["data"] == "no drift" and [one.subject for one in found if one.drifted] == ["c3"]


@pytest.mark.parametrize("rows", [200, 900])
def test_fifty_columns_without_drift_raise_no_alarm_where_each_of_evidentlys_reports_flags_some(rows):
    rng = np.random.default_rng(rows)
    reference = rng.normal(size=(len(REFERENCE), 50))
    for _ in range(8):
        found = findings(reference, rng.normal(size=(rows, 50)))
        assert not [finding.subject for finding in found if finding.drifted]


@pytest.mark.parametrize("moves", [0.5, 1.0])
def test_windy_days_are_usual_where_days_move_and_a_drift_where_they_do_not(moves):
    """A whole day moves by a random step, as weather does; the same rows on other days are another matter."""
    rng = np.random.default_rng(7)
    windy = np.repeat(rng.normal(0, moves, DAYS), ROWS)[:, None] + rng.normal(size=(len(REFERENCE), 1))
    today = rng.normal(size=(ROWS, 1)) + 1.6 * moves
    assert not [finding.drifted for finding in data(findings(windy, today)) if finding.drifted]
    shuffled = rng.permutation(windy)
    assert [finding.drifted for finding in data(findings(shuffled, today))] == [True]


def test_a_sunday_is_compared_with_sundays_too():
    """Weekends lie apart; today is one. Among days of all kinds it stands out, among Sundays it does not."""
    rng = np.random.default_rng(8)
    reference = rng.normal(size=(len(REFERENCE), 1)) + 0.02 * WEEKEND[:, None]
    sunday = (REFERENCE.view(np.int64) + 3) % 7 == 6
    reference[sunday] += 1.5
    (found,) = data(findings(reference, rng.normal(size=(ROWS, 1)) + 1.5))
    assert found.drifted is False and "compared with Sundays" in found.sentence
    (found,) = data(findings(reference, rng.normal(size=(ROWS, 1))))
    assert found.drifted, "usual among all days, but no Sunday was like that"


def test_days_with_nothing_in_common_are_not_assessable():
    rng = np.random.default_rng(10)
    reference = np.repeat(rng.normal(0, 1, DAYS), ROWS)[:, None] + 0.001 * rng.normal(size=(len(REFERENCE), 1))
    (found,) = data(findings(reference, rng.normal(size=(1, 1)) + 0.001 * rng.normal(size=(ROWS, 1))))
    assert found.drifted is None and found.smallest == 1 and "hardly any shift would be seen" in found.sentence


def test_the_smallest_shift_that_would_be_seen_is_told_and_falls_with_traffic():
    rng = np.random.default_rng(11)
    reference, seen = rng.normal(size=(len(REFERENCE), 20)), []
    for rows in (200, 2000, 20_000):
        found = data(findings(reference, rng.normal(size=(rows, 20)), effect=0.01))
        assert all(f"a shift of {finding.smallest:.2f} would be seen" in finding.sentence for finding in found)
        seen.append(np.median([finding.smallest for finding in found if finding.smallest]))
    assert seen[0] > 2 * seen[1] > 2 * seen[2] and seen[1] < 0.15
    limited = data(findings(reference, rng.normal(size=(2000, 20)), effect=0.3))
    assert {finding.smallest for finding in limited} == {0.3}, "smaller ones are seen and do not count"


def test_scores_are_held_to_the_days_of_the_evaluation():
    rng = np.random.default_rng(12)
    reference, current = rng.normal(size=(len(REFERENCE), 1)), rng.normal(size=(ROWS, 1)) + 1
    (score,) = [finding for finding in findings(reference, current) if finding.kind == "prediction"]
    assert score.drifted and score.smallest is not None and score.smallest < 0.5
    (quiet,) = [one for one in findings(reference, rng.normal(size=(ROWS, 1))) if one.kind == "prediction"]
    assert quiet.drifted is False
