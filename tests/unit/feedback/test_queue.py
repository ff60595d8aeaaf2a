"""Which rows people are asked about while the monitor has enough labels, and while it asks for some."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from ml import database, feedback, requests
from ml import problem as problems
from ml import settings as settings_
from ml.context import Context
from ml.ledger import Champion
from ml.settings import PROJECT

NOW = datetime(2013, 2, 1, 8, tzinfo=UTC)
SIZE = 200


@pytest.fixture
def context(tmp_path) -> Context:
    """A champion that answered 200 rows yesterday; nobody knows what came of them."""
    (tmp_path / "clock").write_text(NOW.isoformat())
    read = settings_.read({"EVERGREEN_STORE": str(tmp_path / "store"), "EVERGREEN_CLOCK_FILE": str(tmp_path / "clock")})
    settings = replace(read, database_url=f"sqlite:///{tmp_path}/state.db")
    database.migrate(settings.database_url)
    made = Context(problems.load("flights", PROJECT / "ml" / "problems"), settings, "night-2013-02-01")
    made.ledger.move("flights", to=Champion(1, "made", "0"), expected=None, kind="promote", key="k", actor="tests")
    columns = {
        "request_id": ["r"] * SIZE, "position": range(SIZE), "version": [1] * SIZE, "served_at": [NOW - timedelta(days=1)] * SIZE,
        "key": [f"k{number}" for number in range(SIZE)], "score": np.linspace(0, 1, SIZE), "decision": [True] * SIZE,
        "several": [None] * SIZE, "row": ["{}"] * SIZE, "arm": ["champion"] * SIZE,
    }  # fmt: skip
    rows = {name: pa.array(list(values), requests.SCHEMA.field(name).type) for name, values in columns.items()}
    requests.append_batch(settings.database_url, "flights", "one", pa.table(rows))
    return made


def test_most_rows_are_chosen_and_some_are_drawn(context):
    queued = feedback.queue(context)
    assert (queued.num_tasks, queued.num_audit, queued.asked) == (50, 10, False)
    assert queued.why["uncertain"] == 40


def test_while_the_monitor_asks_for_labels_chance_chooses_all_so_that_they_are_a_sample(context):
    context.ledger.ask("flights", "label", "v1-2013-02-01", {"why": "too few labels"})
    queued = feedback.queue(context)
    assert (queued.num_tasks, queued.num_audit, queued.asked) == (50, 50, True)
    assert {task.probability for task in feedback.open_tasks(context)} == {50 / SIZE}
    assert "all by chance, because the monitor asks for labels" in queued.sentence
    for work in context.ledger.due("flights", "label"):
        context.ledger.done(work, "enough labels are known")
    assert feedback.queue(replace(context, run_key="night-2013-02-02")).num_audit == 10
