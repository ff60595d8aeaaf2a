import numpy as np
import pytest

from ml.redaction import scrub
from ml.understand import places, texts
from tests.unit.understand.kit import column, labels_of

SIZE = 600
LABELS = labels_of(np.full(SIZE, 0.4))


def stories(change=lambda n: ""):
    words = ["refund the loan" if label else "thank you all" for label in LABELS]
    return column("story", [f"{word} for case number {n}{change(n)}" for n, word in enumerate(words)], "text")


def test_words_lean_to_the_label_they_go_with():
    found = texts.describe(stories(), LABELS, ("disputed", "not disputed"), str)
    assert found is not None
    assert {"refund", "loan"} <= set(found.words[0])
    assert {"thank", "you", "all"} <= set(found.words[1])
    assert "number" not in found.words[0] + found.words[1]


def test_examples_of_both_classes_are_shown_redacted_and_short():
    secret = stories(lambda n: " write to jane.roe@example.com " + "and so on " * 90)
    found = texts.describe(secret, LABELS, ("disputed", "not disputed"), scrub)
    assert found is not None
    assert [name for name, _ in found.examples] == ["disputed"] * 3 + ["not disputed"] * 3
    assert all("example.com" not in text and len(text) < 330 for _, text in found.examples)


def test_a_column_without_a_text_is_left_out():
    assert texts.describe(column("story", ["", None], "text"), np.array([0.0, 1.0]), ("a", "b"), str) is None


def test_one_class_has_no_leaning_words():
    found = texts.describe(stories(), np.ones(SIZE), ("a", "b"), str)
    assert found is not None
    assert found.words == ((), ())


def test_states_are_seen_and_carriers_are_not():
    rng = np.random.default_rng(0)
    codes = rng.choice([*list(places.TILES)[:30], "GU"], SIZE)
    found = places.states(column("state", codes.tolist(), "category"), LABELS)
    assert found is not None
    assert sum(found.rows.values()) + found.others == SIZE
    assert found.others == (codes == "GU").sum()
    carriers = ["UA", "AA", "DL", "MQ", "B6", "EV", "US", "WN", "VX", "FL", "AS", "9E", "F9", "YV", "HA", "OO"]
    assert places.states(column("carrier", rng.choice(carriers, SIZE).tolist(), "category"), LABELS) is None


def test_the_map_has_every_state_once():
    assert len(places.TILES) == 52
    assert len(set(places.TILES.values())) == 52


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (("lat", "lon"), True),
        (("pickup_latitude", "pickup_longitude"), True),
        (("lat", "flat"), False),
        (("a_lat", "b_lon"), False),
    ],
    ids=str,
)
def test_coordinates_are_known_by_their_names(names, seen):
    rng = np.random.default_rng(0)
    columns = {name: column(name, rng.uniform(40, 41, SIZE).tolist()) for name in names}
    assert (places.points(columns, LABELS) is not None) == seen


def test_numbers_beyond_the_globe_are_no_coordinates():
    columns = {name: column(name, np.linspace(500, 900, SIZE).tolist()) for name in ("lat", "lon")}
    assert places.points(columns, LABELS) is None
