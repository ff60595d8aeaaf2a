"""When a run searches better settings before it trains."""

from dataclasses import replace

import pytest

from ml import problem as problems
from ml import settings, tuned
from ml.context import Context
from ml.database import migrate
from ml.ledger import Champion
from ml.problem.tune import Tune
from ml.settings import PROJECT


@pytest.fixture
def context(tmp_path):
    given = settings.read({"EVERGREEN_STORE": str(tmp_path), "EVERGREEN_DATABASE_URL": f"sqlite:///{tmp_path}/state.db"})
    migrate(given.database_url)
    return Context(problems.load("flights", PROJECT / "ml" / "problems"), given, "night")


def with_tune(context: Context, tune: Tune) -> Context:
    return replace(context, problem=context.problem.model_copy(update={"tune": tune}))


def test_a_new_problem_is_searched_until_it_has_a_champion(context):
    new = with_tune(context, Tune(first=True))
    assert tuned.due(new, asked=False)
    champion = Champion(1, "night", "0" * 64)
    context.ledger.move("flights", to=champion, expected=None, kind="promote", key="first", actor="tests", body={})
    assert not tuned.due(new, asked=False)
    assert tuned.due(new, asked=True)


def test_a_search_is_asked_for_unless_it_is_nightly(context):
    assert not tuned.due(context, asked=False)
    assert tuned.due(context, asked=True)
    assert tuned.due(with_tune(context, Tune(nightly=True)), asked=False)
