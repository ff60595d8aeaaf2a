"""Encoding: what is learned from the training part, and the same answer in bulk, one by one, and inside the model."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from ml import features
from ml.errors import DataError
from ml.features import encoder
from ml.problem import Feature

ZONE = "America/New_York"
FEATURES = {
    "carrier": Feature(type="category", vocabulary=2),
    "distance": Feature(type="number"),
    "fuel": Feature(type="boolean"),
    "sched": Feature(type="datetime"),
    "zip_code": Feature(type="zip", prefix=3),
    "text": Feature(type="text", tokens=4, vocabulary=3),
}
START = datetime(2013, 3, 9, 4, 30, tzinfo=UTC)


def rows(size: int = 40) -> pa.Table:
    return pa.table(
        {
            "carrier": pa.array(["UA", "UA", "AA", None] * (size // 4)),
            "distance": pa.array([100.0, None, 300.0, 500.0] * (size // 4)),
            "fuel": pa.array([True, False, None, True] * (size // 4)),
            "sched": pa.array([None, *[START + timedelta(hours=7 * n) for n in range(size - 1)]], pa.timestamp("us", "UTC")),
            "zip_code": pa.array(["98001", "980XX", None, "10001"] * (size // 4)),
            "text": pa.array(["The bank, the BANK!", "", None, "bank took my money away now"] * (size // 4)),
        }
    )


def packed(table: pa.Table, learned: features.Encoding) -> dict:
    return encoder.encode(encoder.build(learned), features.inputs(table, FEATURES, timezone=ZONE))


def test_vocabularies_are_the_most_frequent_of_the_training_part():
    learned = features.fit(rows(), FEATURES, timezone=ZONE)
    assert learned.statistics["carrier"].vocabulary == ("UA", "AA")
    assert learned.statistics["zip_code"].vocabulary == ("980", "100")
    assert learned.statistics["text"].vocabulary[0] == "bank"
    assert learned.statistics["distance"].median == 300
    assert features.Encoding.model_validate_json(learned.model_dump_json()) == learned


def test_rare_values_stand_for_values_never_seen():
    table = rows(40).set_column(0, "carrier", pa.array(["UA"] * 37 + ["AA"] * 2 + ["DL"]))
    learned = features.fit(table, FEATURES, timezone=ZONE)
    assert learned.statistics["carrier"].vocabulary == ("UA",)
    assert packed(table, learned)["categories"][36:, 0].tolist() == [2, 0, 0, 0]


def test_places_and_meanings_fit_the_arrays():
    two = FEATURES | {"more": Feature(type="text", tokens=2, vocabulary=3)}
    table = rows().append_column("more", pa.array(["other bank", "other", None, "other words"] * 10))
    learned = features.fit(table, two, timezone=ZONE)
    arrays = encoder.encode(encoder.build(learned), features.inputs(table, two, timezone=ZONE))
    sizes, places = encoder.sizes(learned), encoder.places(learned)
    for kind, array in arrays.items():
        covered = [column for name in two for column in range(array.shape[1])[places[name].get(kind, slice(0, 0))]]
        assert covered == list(range(array.shape[1]))
    assert len(encoder.values(learned)) == sizes["category_values"] == sum(sizes["category_sizes"])
    meanings = encoder.words(learned)
    assert len(meanings) == sizes["token_values"]
    said = [[meanings[index] for index in row] for row in arrays["tokens"][0:1, places["more"]["tokens"]]]
    assert said == [[("more", "other"), ("more", "bank")]]  # not the bank of the other text
    carrier = arrays["categories"][:, 0]
    assert [encoder.values(learned)[index] for index in carrier[1:4]] == [
        ("carrier", "value", "UA"),
        ("carrier", "value", "AA"),
        ("carrier", "missing"),
    ]


def test_missing_unseen_and_known_values_differ():
    learned = features.fit(rows(), FEATURES, timezone=ZONE)
    some = rows().slice(0, 4).set_column(0, "carrier", pa.array(["UA", "AA", None, "never seen"]))
    categories = packed(some, learned)["categories"]
    assert len(set(categories[:, 0])) == 4
    numbers = packed(some, learned)["numbers"]
    assert numbers[:, 1].tolist() == [0, 1, 0, 0]  # the missing flag
    assert np.isfinite(numbers).all()


def test_weekday_and_hour_are_those_of_the_local_calendar():
    learned = features.fit(rows(), FEATURES, timezone=ZONE)
    table = rows(400)
    categories = packed(table, learned)["categories"]
    offset = 2 + 2  # carrier comes first: unseen, missing and two values
    for row, moment in zip(categories[1:], table["sched"].to_pylist()[1:], strict=True):
        local = moment.astimezone(ZoneInfo(ZONE))
        assert (row[1] - offset, row[2] - offset - 8) == (local.isoweekday(), local.hour + 1)
    assert (categories[0, 1] - offset, categories[0, 2] - offset - 8) == (0, 0)


def test_words_are_split_alike_while_counting_and_inside_the_model():
    learned = features.fit(rows(), FEATURES, timezone=ZONE)
    tokens = packed(rows().slice(0, 4), learned)["tokens"]
    known = {word: index + 2 for index, word in enumerate(learned.statistics["text"].vocabulary)}
    expected = [known.get(word, 1) for word in ("the", "bank", "the", "bank")]
    assert tokens[0].tolist() == expected
    assert tokens[1].tolist() == tokens[2].tolist() == [1, 0, 0, 0]  # an empty text is one missing word


def test_indices_stay_inside_the_tables():
    learned = features.fit(rows(), FEATURES, timezone=ZONE)
    sizes, arrays = encoder.sizes(learned), packed(rows(), learned)
    assert arrays["categories"].shape[1] == sizes["categories"]
    assert arrays["numbers"].shape[1] == sizes["numbers"]
    assert arrays["tokens"].shape[1] == sizes["tokens"]
    assert arrays["categories"].max() < sizes["category_values"]
    assert arrays["tokens"].max() < sizes["token_values"]


def test_in_pieces_is_as_at_once(monkeypatch):
    learned = features.fit(rows(), FEATURES, timezone=ZONE)
    whole = packed(rows(), learned)
    monkeypatch.setattr(encoder, "CHUNK", 7)
    pieces = packed(rows(), learned)
    for name, array in whole.items():
        np.testing.assert_allclose(array, pieces[name], atol=1e-6)  # vector instructions round the sine otherwise at the ends


def test_a_number_that_is_always_missing_is_told():
    table = rows().set_column(1, "distance", pa.nulls(40, pa.float64()))
    with pytest.raises(DataError, match="'distance' has no value in any training row"):
        features.fit(table, FEATURES, timezone=ZONE)
