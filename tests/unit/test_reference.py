"""The reference rows: frozen once, renewed when they are old or do not serve any more, and never those a model learned from."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml import exclusions, reference
from ml.context import Context
from ml.exclusions import Exclusion
from ml.snapshot import ROWS
from ml.tables import ARROW_TYPES
from tests.integration.state_kit import NOW, make_context
from tests.unit.evaluate.kit import problem_of

ROWS_OF_A_RUN = 60
BAD_DAY = date(2013, 1, 2)


@pytest.fixture
def context(tmp_path):
    return make_context(tmp_path, "sqlite://", "sqlite://")


def write_rows(context: Context, run_key: str, part: str = reference.PART, count: int = ROWS_OF_A_RUN, bad: int = 0) -> Context:
    """Rows that a run froze, all of one part; the last `bad` of them on BAD_DAY."""
    run = context.of_run(run_key)
    columns: dict[str, Any] = {
        name: pa.nulls(count, ARROW_TYPES[feature.type]) for name, feature in context.problem.features.items()
    }
    about = {"_key": [f"{run_key}-{number}" for number in range(count)], "_part": [part] * count}
    days = ["2013-01-01"] * (count - bad) + [str(BAD_DAY)] * bad
    with run.store.replacing(run.name(ROWS)) as path:
        pq.write_table(pa.table(columns | about | {"_day": days, "_label": [True] * count}), path)
    return run


def name_of(run: Context) -> str | None:
    found = reference.rows_of(run)
    return found[0].name if found else None


def test_they_are_frozen_once_and_again_when_they_are_old(context, tmp_path):
    assert name_of(write_rows(context, "first")) == "first"
    later = write_rows(context, "later")
    assert name_of(later) == "first"
    (tmp_path / "clock").write_text((NOW + timedelta(days=365)).isoformat())
    assert name_of(later) == "later"
    assert name_of(context.of_run("first")) == "later"


def test_too_few_rows_are_not_frozen(context):
    assert name_of(write_rows(context, "thin", count=49)) is None
    assert name_of(write_rows(context, "first")) == "first"


def test_a_new_column_asks_for_new_rows(context):
    assert name_of(write_rows(context, "first")) == "first"
    wider = context.problem.features | {"gate": next(iter(context.problem.features.values()))}
    changed = replace(context, problem=context.problem.model_copy(update={"features": wider}))
    assert name_of(write_rows(changed, "wider")) == "wider"
    assert name_of(context.of_run("first")) == "wider"  # it holds all that the older problem asks for


def test_a_model_that_learned_from_them_is_known(context):
    run = write_rows(context, "first")
    found = reference.rows_of(run)
    assert found is not None
    assert reference.num_learned(run, found[1]) == 0
    assert reference.num_learned(write_rows(context, "first", part="train"), found[1]) == ROWS_OF_A_RUN


def test_a_day_that_was_taken_out_is_no_reference_any_more(context):
    run = write_rows(context, "first", bad=5)
    found = reference.rows_of(run)
    assert found is not None and found[1].num_rows == ROWS_OF_A_RUN
    exclusions.write(context, {BAD_DAY: Exclusion(by="me", at=NOW, why="shifted by an hour")})
    found = reference.rows_of(run)
    assert found is not None and found[1]["_day"].unique().to_pylist() == ["2013-01-01"]
    exclusions.write(context, {date(2013, 1, 1): Exclusion(by="me", at=NOW, why="shifted by an hour")})
    assert reference.rows_of(run) is None


def test_rows_of_a_class_that_is_not_asked_any_more_are_no_reference(context):
    def asking(*classes: str) -> Context:
        asked = problem_of("multiclass")
        about = asked.problem.model_copy(update={"classes": classes})
        return replace(context, problem=asked.model_copy(update={"problem": about}))

    three, two = asking("early", "late", "never"), asking("late", "early")
    assert name_of(write_rows(three, "three")) == "three"
    assert name_of(write_rows(asking("never", "late", "early"), "reordered")) == "three"
    assert name_of(write_rows(two, "thin", count=49)) is None
    assert name_of(write_rows(two, "two")) == "two"
