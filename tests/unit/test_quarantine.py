"""Quarantined rows: what is shown of them, what a release moves and what it leaves, and that decisions outlive the nights."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import problem as problems
from ml import quarantine
from ml import settings as settings_
from ml.context import Context
from ml.errors import DataError, TransientError
from ml.quarantine import Asked, Choice, listing, releasing
from ml.settings import PROJECT
from ml.tables import DAY, Table
from ml.window import Window

DAYS = ("2013-01-01", "2013-01-02")
ASKED = Asked("release", "cli:anna", "the suite was mended")
FAR, SHORT = "distance: far", "distance: negative"
NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


def rows(*lines: tuple[str, str, float]) -> pa.Table:
    """Day, key and distance of each row."""
    days, keys, distances = zip(*lines, strict=True) if lines else ((), (), ())
    moments = [NOON + timedelta(days=int(day[-2:]) - 1) for day in days]
    return pa.table(
        {
            "flight_id": pa.array(keys, pa.string()),
            "sched_dep": pa.array(moments, pa.timestamp("us", "UTC")),
            "distance": pa.array(distances, pa.float64()),
            DAY: pa.array(days, pa.string()),
        }
    )


def judge(limit: float):
    """As the suite would: distances under 0 and over the limit are bad."""

    def broken(batch: pa.Table) -> list[list[str]]:
        found = batch["distance"].to_pylist()
        return [[*([SHORT] if far < 0 else []), *([FAR] if far > limit else [])] for far in found]

    return broken


def validate(context: Context, batch: pa.Table, limit: float = 100, run: str = "night-1") -> None:
    """What a night leaves in the tables."""
    window = Window.parse("2013-01-01/2013-01-03")
    broken = judge(limit)(batch)
    bad = pa.array([bool(one) for one in broken])
    aside = batch.filter(bad).append_column("_rules", pa.array([one for one in broken if one], pa.list_(pa.string())))
    context.table("raw").replace(window, batch)
    context.table("quarantine").replace(window, aside.append_column("_run_key", pa.array([run] * aside.num_rows, pa.string())))
    context.table("valid").replace(window, batch.filter(pa.array([not one for one in broken])))


BATCH = rows(
    (DAYS[0], "a", 10), (DAYS[0], "b", -1), (DAYS[0], "c", 500), (DAYS[0], "d", -700),
    (DAYS[1], "e", 20), (DAYS[1], "f", 600), (DAYS[1], "g", 30),
)  # fmt: skip


def context_in(folder: Path) -> Context:
    given_ = replace(settings_.read({}), store=str(folder / "store"))
    return Context(problems.load("flights", PROJECT / "ml" / "problems"), given_, "release")


@pytest.fixture
def context(tmp_path):
    one = context_in(tmp_path)
    validate(one, BATCH)
    return one


def content(context: Context) -> dict[str, list[str]]:
    """Keys per table and day, and that every row of raw is in one of the two others."""
    window = Window.parse("2013-01-01/2013-01-03")
    told = {name: sorted(context.table(name).read(window)["flight_id"].to_pylist()) for name in ("raw", "valid", "quarantine")}
    assert sorted(told["valid"] + told["quarantine"]) == told.pop("raw")
    return told


def outcomes(found) -> dict[str, str]:
    return {one.key: one.outcome for one in found}


def test_rows_that_hold_every_rule_now_go_into_their_day_and_the_others_stay_with_present_reasons(context):
    found = quarantine.release(context, Choice(), ASKED, judge=judge(550))
    assert outcomes(found) == {"b": "still bad", "c": "released", "d": "still bad", "f": "still bad"}
    assert content(context) == {"valid": ["a", "c", "e", "g"], "quarantine": ["b", "d", "f"]}
    assert context.table("valid").read(Window.parse(DAYS[0]))["flight_id"].to_pylist().count("c") == 1


def test_only_chosen_rows_move(context):
    quarantine.release(context, Choice(rule="FAR"), ASKED, judge=judge(10_000))
    assert content(context)["quarantine"] == ["b", "d"]
    validate(context, BATCH)
    quarantine.release(context, Choice(window=Window.parse(DAYS[1])), ASKED, judge=judge(10_000))
    assert content(context)["quarantine"] == ["b", "c", "d"]
    quarantine.release(context, Choice(key="c"), ASKED, judge=judge(10_000))
    assert content(context)["quarantine"] == ["b", "d"]


def test_rows_that_were_not_chosen_keep_the_reasons_they_had(context):
    quarantine.release(context, Choice(key="c"), ASKED, judge=judge(0))  # by now every distance over 0 would be bad
    held = quarantine.held(context)
    assert dict(zip(held.keys, held.rules, strict=True)) == {"b": [SHORT], "c": [FAR], "d": [SHORT], "f": [FAR]}
    assert content(context)["valid"] == ["a", "e", "g"]  # what is valid stays so


def test_nothing_to_move_writes_no_version(context):
    before = [context.table(name).version for name in ("valid", "quarantine")]
    quarantine.release(context, Choice(), ASKED, judge=judge(100))
    assert [context.table(name).version for name in ("valid", "quarantine")] == before


def test_a_release_is_noted_in_both_tables(context):
    quarantine.release(context, Choice(key="f"), ASKED, judge=judge(10_000))
    for name in ("valid", "quarantine"):
        newest = context.table(name).history()[0]
        assert newest.note == {"by": "quarantine release", "who": "cli:anna"}


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7])
def test_killed_before_any_commit_and_run_again_ends_equal(context, tmp_path, monkeypatch, number):
    whole = context_in(tmp_path / "whole")
    validate(whole, BATCH)
    quarantine.release(whole, Choice(), ASKED, judge=judge(10_000))

    commit, numbers = Table.commit, iter(range(1, 100))

    def killed(self, *arguments, **options):
        if next(numbers) == number:
            raise KeyboardInterrupt
        return commit(self, *arguments, **options)

    monkeypatch.setattr(Table, "commit", killed)
    with pytest.raises(KeyboardInterrupt):  # per day: the decision, valid, quarantine; before them the empty table of decisions
        quarantine.release(context, Choice(), ASKED, judge=judge(10_000))
    monkeypatch.undo()
    quarantine.release(context, Choice(), ASKED, judge=judge(10_000))
    assert content(context) == content(whole) == {"valid": ["a", "c", "e", "f", "g"], "quarantine": ["b", "d"]}
    assert history(context) == history(whole)


def history(context: Context) -> list[tuple[str, str, str]]:
    made = quarantine.past(context)
    return sorted((one["flight_id"], one["_decision"], one["_outcome"]) for one in (made.to_pylist() if made else []))


def test_a_row_mended_at_the_source_is_judged_in_its_new_version(context):
    mended = [("a", 10), ("b", 1), ("c", 500), ("d", -700)]
    context.table("raw").replace(Window.parse(DAYS[0]), rows(*[(DAYS[0], key, far) for key, far in mended]))
    found = quarantine.release(context, Choice(key="b"), ASKED, judge=judge(100))
    assert outcomes(found) == {"b": "released"}
    assert content(context) == {"valid": ["a", "b", "e", "g"], "quarantine": ["c", "d", "f"]}
    assert 1.0 in context.table("valid").read(Window.parse(DAYS[0]))["distance"].to_pylist()


def test_a_row_that_the_source_took_back_is_gone(context):
    context.table("raw").replace(Window.parse(DAYS[0]), rows((DAYS[0], "a", 10), (DAYS[0], "c", 500), (DAYS[0], "d", -700)))
    assert outcomes(quarantine.release(context, Choice(key="b"), ASKED, judge=judge(100))) == {"b": "gone from the source"}
    assert content(context)["quarantine"] == ["c", "d", "f"]


@pytest.mark.parametrize("change", [("a", 11.0), ("z", 5.0), ("c", 501.0)], ids=["a valid row", "a new row", "another bad row"])
def test_rows_that_no_validation_has_seen_are_not_let_in_by_a_release(context, change):
    lines = {"a": 10.0, "b": -1.0, "c": 500.0, "d": -700.0} | dict([change])
    context.table("raw").replace(Window.parse(DAYS[0]), rows(*[(DAYS[0], key, far) for key, far in lines.items()]))
    versions = [context.table(name).version for name in ("valid", "quarantine")]
    with pytest.raises(DataError, match="was read anew for 2013-01-01 and not validated since"):
        quarantine.release(context, Choice(key="b"), ASKED, judge=judge(10_000))
    assert [context.table(name).version for name in ("valid", "quarantine")] == versions


def test_a_night_that_writes_the_same_day_meanwhile_loses_nothing(context, monkeypatch):
    monkeypatch.setattr(releasing, "PAUSE_S", 0.01)
    nights = iter([True])
    newer = pa.concat_tables([BATCH, rows((DAYS[0], "late", 40), (DAYS[0], "later", 800))])

    def with_a_night(batch: pa.Table) -> list[list[str]]:
        if next(nights, False):
            validate(context, newer, run="night-2")
        return judge(10_000)(batch)

    found = quarantine.release(context, Choice(key="c"), ASKED, judge=with_a_night)
    assert outcomes(found) == {"c": "released"}
    assert content(context) == {"valid": ["a", "c", "e", "g", "late"], "quarantine": ["b", "d", "f", "later"]}


def test_a_night_that_never_ends_is_told(context, monkeypatch):
    monkeypatch.setattr(releasing, "PAUSE_S", 0.0)
    numbers = iter(range(100))

    def with_a_night(batch: pa.Table) -> list[list[str]]:
        validate(context, BATCH, run=f"night-{next(numbers)}")
        return judge(10_000)(batch)

    with pytest.raises(TransientError):
        quarantine.release(context, Choice(key="c"), ASKED, judge=with_a_night)


def test_equal_rows_are_counted_not_merged(tmp_path):
    context = context_in(tmp_path)
    validate(context, rows((DAYS[0], "a", 500), (DAYS[0], "a", 500), (DAYS[0], "b", 1), (DAYS[0], "b", 1)))
    quarantine.release(context, Choice(), ASKED, judge=judge(10_000))
    assert content(context) == {"valid": ["a", "a", "b", "b"], "quarantine": []}


KEYS = st.sampled_from("abcdefgh")
LINES = st.lists(
    st.tuples(st.sampled_from(DAYS), KEYS, st.sampled_from([-5.0, 1.0, 50.0, 200.0, 800.0])), min_size=1, max_size=14
)


@settings(max_examples=15)
@given(lines=LINES, key=KEYS, limit=st.sampled_from([0.0, 100.0, 300.0, 10_000.0]))
def test_whatever_is_chosen_no_row_is_lost_and_no_bad_row_let_in(tmp_path_factory, lines, key, limit):
    context = context_in(tmp_path_factory.mktemp("day"))
    validate(context, rows(*lines))
    before = content(context)
    quarantine.release(context, Choice(key=key), ASKED, judge=judge(limit))
    after = content(context)
    assert set(before["valid"]) <= set(after["valid"])
    moved = context.table("valid").read(Window.parse("2013-01-01/2013-01-03")).to_pylist()
    assert all(0 <= row["distance"] <= max(limit, 100) for row in moved)
    assert [one for one in after["quarantine"] if one != key] == [one for one in before["quarantine"] if one != key]


def test_discarded_rows_stay_but_are_no_longer_open_also_after_another_night(context):
    said = Asked("discard", "cli:anna", "a test flight")
    assert outcomes(quarantine.discard(context, Choice(key="b"), said)) == {"b": "discarded"}
    validate(context, BATCH, run="night-2")  # the look-back reads the day again
    held = quarantine.held(context)
    assert dict(zip(held.keys, held.states, strict=True)) == {"b": "discarded", "c": "open", "d": "open", "f": "open"}
    assert "b" not in outcomes(quarantine.release(context, Choice(), ASKED, judge=judge(10_000)))
    assert content(context)["quarantine"] == ["b", "d"]


def test_a_discarded_row_that_changes_is_open_again(context):
    quarantine.discard(context, Choice(key="b"), Asked("discard", "cli:anna", "a test flight"))
    lines = [
        (day, key, -2.0 if key == "b" else far)
        for day, key, far in zip(*(BATCH[c].to_pylist() for c in (DAY, "flight_id", "distance")), strict=True)
    ]
    validate(context, rows(*lines), run="night-2")
    held = quarantine.held(context)
    assert dict(zip(held.keys, held.states, strict=True))["b"] == "open"


def test_a_column_that_is_added_later_does_not_open_a_row_again(context):
    quarantine.discard(context, Choice(key="b"), Asked("discard", "cli:anna", "a test flight"))
    validate(context, BATCH.append_column("wind", pa.nulls(BATCH.num_rows, pa.float64())), run="night-2")
    assert quarantine.held(context).states.count("discarded") == 1


def test_a_discarded_row_can_be_released_when_it_is_named_as_such(context):
    quarantine.discard(context, Choice(key="c"), Asked("discard", "cli:anna", "odd"))
    found = quarantine.release(context, Choice(key="c", discarded=True), ASKED, judge=judge(10_000))
    assert outcomes(found) == {"c": "released"}


def test_decisions_are_kept_in_order_and_a_repeated_one_is_written_once(context):
    for _ in range(2):
        quarantine.discard(context, Choice(key="b"), Asked("discard", "cli:anna", "a test flight"))
    quarantine.release(context, Choice(key="c"), ASKED, judge=judge(100))
    quarantine.release(context, Choice(key="c"), replace(ASKED, who="cli:ben"), judge=judge(10_000))
    made = quarantine.past(context)
    assert made is not None
    told = [(one["flight_id"], one["_decision"], one["_outcome"], one["_who"]) for one in made.to_pylist()]
    assert told == [
        ("b", "discard", "discarded", "cli:anna"),
        ("c", "release", "still bad", "cli:anna"),
        ("c", "release", "released", "cli:ben"),
    ]


def test_a_summary_counts_rows_by_day_and_rule_with_their_share(context):
    quarantine.discard(context, Choice(key="b"), Asked("discard", "cli:anna", "a test flight"))
    told = listing.summary(quarantine.held(context), {DAYS[0]: 4, DAYS[1]: 3}, "sched_dep")
    assert [(one["day"], one["rule"], one["rows"], one["open"], one["discarded"]) for one in told] == [
        (DAYS[1], FAR, 1, 1, 0),
        (DAYS[0], SHORT, 2, 1, 1),
        (DAYS[0], FAR, 1, 1, 0),
    ]
    assert told[1]["share"] == pytest.approx(0.5)
    assert told[1]["first"] == told[1]["last"] == NOON


def test_the_story_of_a_row_tells_values_reasons_and_every_decision_about_its_key(context):
    context.store.write_json("runs/night-1/validation.json", {"rules": [{"rule": SHORT, "why": "no distance is below nothing"}]})
    quarantine.discard(context, Choice(key="b"), Asked("discard", "cli:anna", "a test flight"))
    lines = [
        (day, key, -2.0 if key == "b" else far)
        for day, key, far in zip(*(BATCH[c].to_pylist() for c in (DAY, "flight_id", "distance")), strict=True)
    ]
    validate(context, rows(*lines))
    held = quarantine.held(context)
    held = held.only(held.chosen(Choice(key="b")))
    (story,) = listing.stories(context, held, listing.whys_of(context, held))
    assert story["values"]["distance"] == -2.0
    assert story["rules"] == [{"rule": SHORT, "why": "no distance is below nothing"}]
    assert [(one["decision"], one["why"], one["about"].partition(" ")[0]) for one in story["history"]] == [
        ("discard", "a test flight", "its")
    ]


def test_names_of_rows_follow_their_content_alone():
    one, other = rows((DAYS[0], "a", 1.0)), rows((DAYS[1], "a", 1.0))
    assert quarantine.digests(one) == quarantine.digests(one.append_column("_run_key", pa.array(["x"])))
    assert quarantine.digests(one) != quarantine.digests(other)
    assert len(set(quarantine.digests(rows((DAYS[0], "a", np.nan), (DAYS[0], "a", 0.0))))) == 2


def test_no_quarantine_yet_is_told(tmp_path):
    with pytest.raises(DataError, match="flights has no quarantine yet"):
        quarantine.release(context_in(tmp_path), Choice(), ASKED, judge=judge(1))
