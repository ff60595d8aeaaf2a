"""The reference problem on the real extract, narrative included, through the real scheduler."""

import os
from pathlib import Path

import pytest

from ml.embedded import demo
from ml.settings import PROJECT

DATA = Path(os.environ.get("EVERGREEN_DATA", PROJECT.parent / "shared" / "data"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.real_data,
    pytest.mark.skipif(
        not (DATA / "cfpb_narratives_2015_2016.parquet").is_file(),
        reason=f"the CFPB extracts are not in {DATA}; say where they are with EVERGREEN_DATA",
    ),
]


@pytest.fixture(scope="module")
def outcome(stack, progress):
    return demo.play(stack, "complaints", nights=1, data=DATA, progress=progress)


def test_a_night_of_complaints_ends_with_a_served_version(outcome):
    assert outcome.complaints == []
    (night,) = outcome.nights
    assert night["verdict"]["decision"] == "promote"
    assert night["serving"]["answer"]["version"] == night["version"] == 1
    assert night["rows"]["ingested"] == night["rows"]["valid"] + night["rows"]["quarantined"] > 100_000


def test_the_narrative_goes_in_at_serving(outcome):
    (night,) = outcome.nights
    assert "narrative" in night["serving"]["request"]["rows"][0]


def test_it_is_better_than_chance_for_sure(outcome):
    assert outcome.nights[0]["metrics"]["candidate"]["auc"]["low"] > 0.55
