"""Worst errors and flips with what the problem hides left hidden, what features are worth, rows that were seen before."""

import numpy as np
import pyarrow as pa
import pytest

from ml import reference
from ml.evaluate.effects import effects_of
from ml.evaluate.gallery import HIDDEN, LONGEST, examples_of
from ml.evaluate.seen import num_seen
from tests.unit.evaluate.kit import ROWS, TASKS, judged_of, problem_of


@pytest.mark.parametrize("task", TASKS)
def test_the_worst_errors_come_first_then_the_flips(task):
    judged = judged_of(task)
    found = examples_of(judged)
    errors, flips = [[one for one in found if one.kind == kind] for kind in ("error", "flip")]
    assert len(errors) == len(flips) == 10
    keys = np.array(judged.rows["_key"].to_pylist())
    assert all(judged.flipped[int(np.flatnonzero(keys == one.key)[0])] for one in flips)
    assert all(one.label and one.candidate and one.champion and set(one.row) == {"hour", "place", "note"} for one in found)


def test_the_worst_error_is_the_worst():
    judged = judged_of("binary")
    wrong = np.abs(judged.scores["candidate"] - judged.labels).argmax()
    assert examples_of(judged)[0].key == f"k{wrong}"


def test_what_is_redacted_stays_hidden_and_texts_are_cut():
    long = problem_of("binary", privacy={"redact": {"note": "text", "id": "hash"}})
    judged = judged_of("binary", problem=long)
    assert {(one.key, one.row["note"]) for one in examples_of(judged)} == {(HIDDEN, HIDDEN)}
    plain = judged_of("binary")
    rows = plain.rows.set_column(5, "note", [["x" * 300] * ROWS])
    found = examples_of(plain.__class__(rows, plain.problem, plain.scores, plain.champion, (0.5,)))
    assert {len(one.row["note"]) for one in found} == {LONGEST}


def test_a_feature_is_worth_what_is_lost_without_it():
    judged = judged_of("binary")
    hours = judged.rows["hour"].to_numpy()
    rows = judged.rows.set_column(2, "_label", [hours > 12])

    def score(sample: pa.Table) -> np.ndarray:
        return np.nan_to_num(sample["hour"].to_numpy().astype(float), nan=12.0) / 24

    hour, *others = effects_of(rows, score, ("place", "note", "hour"), judged.problem, (0.5,))
    assert hour.feature == "hour"
    assert hour.shuffled == pytest.approx(0.5, abs=0.06)
    assert hour.missing == pytest.approx(0.5)
    assert hour.moved == pytest.approx((hours < 12).mean(), abs=0.01)
    assert {(one.shuffled, one.missing, one.moved) for one in others} == {(0, 0, 0)}


def frozen(count: int, part: str, *, start: int = 0) -> pa.Table:
    names = [str(number) for number in range(start, start + count)]
    return pa.table(
        {
            "_key": names, "_part": [part] * count, "_day": ["2026-03-01"] * count, "_label": [True] * count,
            "hour": [float(name) for name in names], "place": names, "note": names,
        }
    )  # fmt: skip


def test_rows_that_taught_are_seen_by_key_and_as_copies():
    problem = problem_of("binary")
    learned = pa.concat_tables([frozen(500, "train"), frozen(100, "validation", start=500)])
    fresh = frozen(100, "test", start=600)
    assert num_seen(learned, fresh, problem) == 0
    assert num_seen(learned, frozen(40, "test", start=580), problem) == 20
    keys = pa.array([f"copy-{number}" for number in range(100)])
    copies = frozen(100, "test").set_column(0, "_key", keys)
    assert num_seen(learned, copies, problem) == 95  # five in a hundred may be chance
    newest = frozen(100, "test", start=500).set_column(0, "_key", keys)
    assert num_seen(learned, newest, problem) == 95  # the validation part has taught too


def test_rows_that_repeat_by_nature_are_no_copies():
    problem = problem_of("binary")

    def alike(count: int, part: str, start: int) -> pa.Table:
        rows = frozen(count, part, start=start)
        for name in ("hour", "place", "note"):
            kind = rows.schema.field(name).type
            same = pa.array([f"{number % 7}" for number in range(count)]).cast(kind)
            rows = rows.set_column(rows.column_names.index(name), name, same)
        return rows

    learned = pa.concat_tables([alike(500, "train", 0), alike(100, "validation", 500)])
    assert num_seen(learned, alike(100, "test", 600), problem) == 0


def test_the_same_keys_are_set_aside_in_every_run_about_as_many_as_asked():
    keys = pa.chunked_array([[f"2013-01-01-UA-{number}" for number in range(20_000)]])
    aside = reference.is_reference(keys, 0.02)
    assert 0.015 < aside.mean() < 0.025
    assert (reference.is_reference(keys.slice(500, 100), 0.02) == aside[500:600]).all()
    assert not reference.is_reference(keys, 0.0).any()


def test_rows_that_judge_are_not_set_aside():
    problem = problem_of("binary", success={"reference_share": 0.3})
    rows = pa.concat_tables([frozen(300, "train"), frozen(300, "test", start=300)])
    parts = np.array(reference.set_aside(rows, problem)["_part"].to_pylist())
    assert set(parts[:300]) == {"train", "reference"}
    assert set(parts[300:]) == {"test"}
    grouped = problem_of("binary", success={"reference_share": 0.3}, split={"group": "place"})
    assert reference.set_aside(rows, grouped)["_part"].to_pylist() == rows["_part"].to_pylist()
