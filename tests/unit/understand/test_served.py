"""Requests against the rows learned from."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ml.errors import DataError
from ml.problem import Feature
from ml.understand import served
from ml.understand.served import Served
from tests.unit.understand.kit import column

FEATURES = {
    "carrier": Feature(type="category"),
    "distance": Feature(type="number"),
    "departs": Feature(type="datetime"),
    "remark": Feature(type="text"),
    "gust": Feature(type="number"),
}
START = datetime(2026, 3, 1, tzinfo=UTC)


def rows(size, seed, *, carriers=("UA", "AA", "DL"), shift=0.0):
    rng = np.random.default_rng(seed)
    return [
        {
            "carrier": str(rng.choice(carriers)),
            "distance": float(rng.normal(1000 + 300 * shift, 300)),
            "departs": (START + timedelta(minutes=int(rng.integers(0, 1440)))).isoformat(),
            "remark": " ".join(["word"] * int(rng.integers(0, 9))),
            "gust": float(rng.normal()) if rng.random() < 0.3 else None,
        }
        for _ in range(size)
    ]


def asked(content):
    return served.served_rows([json.dumps(row) for row in content], FEATURES, "America/New_York")


def learned(content):
    return asked(content).columns


def bias(content, same_time=True, reference=None):
    requests = asked(content)
    found = served.compare(requests, reference or learned(rows(3000, 1)), FEATURES, "America/New_York", "rows of the same days")
    return served.sampling_bias(found, requests.num_rows, effect=0.2, same_time=same_time), found


def lacking(content):
    return served.absent(asked(content), learned(rows(3000, 1))).findings


def test_requests_like_the_rows_learned_from_are_no_finding():
    content = rows(1000, 2)
    assert lacking(content) == ()
    look, found = bias(content)
    assert look.findings == ()
    assert found.auc == pytest.approx(0.5, abs=0.05)
    assert served.other_values(found) == []


@pytest.mark.parametrize("change", [lambda row: row.pop("distance"), lambda row: row.update(distance=None)], ids=["no", "null"])
def test_a_column_that_requests_never_carry_is_serious(change):
    content = rows(500, 2)
    for row in content:
        change(row)
    (found,) = lacking(content)
    assert (found.subject, found.severity) == ("distance", "serious")


def test_a_column_that_is_often_missing_is_a_warning():
    content = rows(500, 2)
    for row in content[:200]:
        row["carrier"] = ""
    (found,) = lacking(content)
    assert (found.subject, found.severity) == ("carrier", "warning")


def test_a_column_of_another_kind_is_serious_and_the_rest_is_compared():
    content = rows(500, 2)
    for row in content:
        row["distance"] = "far"
    requests = asked(content)
    (found,) = served.absent(requests, learned(rows(3000, 1))).findings
    assert "no number" in found.sentence
    _, comparison = bias(content)
    assert {one.column for one in comparison.differences} == set(FEATURES) - {"distance"}


def test_a_time_without_an_offset_is_told():
    content = rows(300, 2)
    for row in content:
        row["departs"] = "2026-03-01T08:00:00"
    assert "offset" in asked(content).strange["departs"]


def test_values_never_learned_are_named():
    _, found = bias(rows(1000, 2, carriers=("UA", "AA", "DL", "ZZ<script>")))
    (told,) = served.other_values(found)
    assert "'ZZ<script>'" in told.sentence


def test_a_part_of_the_population_that_was_never_learned_is_bias():
    look, _ = bias(rows(1000, 2, carriers=("DL",)))
    (found,) = look.findings
    assert found.severity == "warning"
    assert found.subject.startswith("carrier")


def test_bias_that_no_single_column_shows_is_found_by_the_classifier():
    """Each column is as before, but far flights are now UA's and near ones DL's."""
    rng = np.random.default_rng(3)
    content = rows(2000, 2)
    for row in content:
        row["carrier"] = "UA" if row["distance"] > 1130 else "DL" if row["distance"] < 870 else "AA"
    reference = rows(3000, 1)
    for row in reference:
        row["carrier"] = str(rng.choice(["UA", "AA", "DL"]))
    look, comparison = bias(content, reference=learned(reference))
    assert max(one.distance for one in comparison.differences) < 0.1
    assert look.findings[0].numbers["auc"] > 0.7


def test_without_rows_of_the_same_days_the_difference_is_a_note_that_says_so():
    look, _ = bias(rows(1000, 2, shift=2.0), same_time=False)
    assert look.findings[0].severity == "note"
    assert "Season and drift" in look.findings[0].matters


def test_few_requests_are_not_assessable():
    look, found = bias(rows(50, 2))
    assert np.isnan(found.auc)
    assert "200" in look.unknown
    assert served.absent(asked(rows(50, 2)), {}).unknown


def test_a_row_that_is_no_json_is_told():
    with pytest.raises(DataError, match="changed by hand"):
        served.served_rows(["{"], FEATURES, "UTC")


def test_a_column_that_is_nearly_empty_when_learned_may_be_empty_when_served():
    sparse = {"gust": column("gust", [None] * 990 + [1.0] * 10)}
    assert served.absent(Served(500, {"gust": column("gust", [None] * 500)}, {"gust": 1.0}, {}), sparse).findings == ()
