"""The pure half of the ledger: hashes, the chain, and who stands in succession."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ml.ledger.entry import GENESIS, Entry, broken, canonical, succession

NOW = datetime(2013, 2, 1, tzinfo=UTC)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def chain(moves):
    """A whole ledger of (kind, version) moves."""
    entries, previous = [], GENESIS
    for number, (kind, version) in enumerate(moves, start=1):
        entry = Entry(number, "flights", kind, str(number), version, "run", "gate", NOW, {"model_digest": "d"}, previous)
        entries.append(entry.sealed())
        previous = entries[-1].hash
    return entries


MOVES = st.lists(st.tuples(st.sampled_from(["promote", "rollback"]), st.integers(1, 5)), min_size=1, max_size=12)


@given(JSON)
def test_content_read_back_has_the_same_spelling(content):
    assert canonical(json.loads(canonical(content))) == canonical(content)


@given(MOVES)
def test_a_chain_as_written_is_whole(moves):
    assert broken(chain(moves)) == []


@given(MOVES, st.data())
def test_any_change_of_one_entry_is_found_and_named(moves, data):
    entries = chain(moves)
    number = data.draw(st.integers(0, len(entries) - 1))
    field, value = data.draw(
        st.sampled_from(
            [("problem", "x"), ("kind", "x"), ("key", "x"), ("version", 9), ("run_key", None), ("actor", "x"), ("body", {})]
        )
    )
    entries[number] = replace(entries[number], **{field: value})
    assert any(sentence.startswith(f"Entry {number + 1} ") for sentence in broken(entries))


@given(MOVES.filter(lambda moves: len(moves) > 1), st.data())
def test_an_entry_taken_out_is_found_unless_it_was_the_last(moves, data):
    entries = chain(moves)
    gone = entries.pop(data.draw(st.integers(0, len(entries) - 2)))
    assert f"Entry {gone.id} is missing: entry {gone.id + 1} comes in its place." in broken(entries)


def test_an_entry_rewritten_with_its_hash_breaks_the_link_to_the_next():
    entries = chain([("promote", 1), ("promote", 2)])
    entries[0] = replace(entries[0], actor="somebody else").sealed()
    assert broken(entries) == ["Entry 2 does not follow entry 1: one of them was replaced."]


@given(MOVES)
def test_the_last_move_is_always_the_one_that_stands_last(moves):
    entries = chain(moves)
    assert succession(entries)[-1] == entries[-1]


def test_a_rollback_takes_away_what_it_undid():
    moves = [("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2)]
    assert [entry.version for entry in succession(chain(moves))] == [1, 2]
    assert [entry.version for entry in succession(chain([*moves, ("promote", 4)]))] == [1, 2, 4]
    assert [entry.version for entry in succession(chain([*moves, ("rollback", 3)]))] == [1, 2, 3]
