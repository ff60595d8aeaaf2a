"""The alias moved by hand in a real MLflow: obeyed or put back, never unseen, and nobody is named who is not known."""

from dataclasses import replace

import pytest

from ml import alias, follow, promote, register
from ml.embedded.processes import free_port
from ml.errors import TransientError
from tests.integration.state_kit import judged, make_context, make_verdict

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mlflow")


@pytest.fixture
def context(tmp_path, state, mlflow_url):
    """Version 1 is the champion, version 2 was judged against it and may replace it."""
    context = make_context(tmp_path, state, mlflow_url, approval="manual")
    register.run(judged(context, "night-1"))
    promote.run(context, version=1, actor="cli:anna")
    register.run(judged(context, "night-2", champion=1))
    return context


def by_hand(context, version):
    """As the button in MLflow does."""
    context.registry._client.set_registered_model_alias(context.problem.name, "champion", str(version))


def followed(context):
    """What became of the move; there must have been one."""
    done = follow.run(context)
    assert done is not None
    return done


def serving(context):
    """The champion by the ledger and by the alias, and what is due for deployment last."""
    name = context.problem.name
    return context.ledger.champion(name).version, context.registry.alias(name, "champion")


def due(context):
    return [work.body["version"] for work in context.ledger.due(context.problem.name, "deploy")]


def last(context):
    return context.ledger.entries(context.problem.name)[-1]


def policy(context, value):
    problem = context.problem
    return replace(context, problem=problem.model_copy(update={"gate": problem.gate.model_copy(update={"manual_moves": value})}))


def test_an_alias_that_stands_where_it_should_is_no_news(context):
    assert follow.run(context) is None
    assert follow.glance(context) is None
    assert last(context).kind == "verdict"


def test_moved_to_a_version_that_the_gate_let_through_it_is_obeyed_and_the_ledger_says_that_nobody_is_known(context):
    by_hand(context, 2)
    assert "stands on version 2, the ledger says version 1" in str(follow.glance(context))
    assert followed(context).obeyed
    assert serving(context) == (2, 2)
    assert due(context) == [1, 2]
    entry = last(context)
    assert (entry.kind, entry.actor, entry.body["previous"], entry.body["by_hand"]) == ("promote", "mlflow:unknown", 1, True)
    assert "does not say by whom" in entry.body["comment"]
    assert context.registry.version(context.problem.name, 2).tags["approval_by"] == "mlflow:unknown"
    assert (follow.run(context), follow.glance(context)) == (None, None)
    assert context.ledger.verify() == []


def test_moved_back_to_an_earlier_champion_it_is_a_rollback(context):
    promote.run(context, version=2, actor="cli:anna")
    by_hand(context, 1)
    assert followed(context).obeyed
    assert (last(context).kind, serving(context)) == ("rollback", (1, 1))
    by_hand(context, 2)
    assert followed(context).obeyed
    assert (last(context).kind, serving(context)) == ("rollback", (2, 2))


@pytest.mark.parametrize(
    ("champion", "decision", "why"),
    [(1, "reject", "its verdict is reject"), (None, "promote", "was compared with no champion")],
    ids=["rejected", "outdated"],
)
def test_moved_to_a_version_that_the_gate_did_not_let_through_it_is_put_back_or_obeyed_as_the_policy_says(
    context, champion, decision, why
):
    run = judged(context, "night-3", champion=champion)
    register.run(run)
    run.write(make_verdict(decision, champion))
    register.run(run)
    by_hand(context, 3)
    seen = follow.glance(context)
    done = followed(context)
    assert not done.obeyed
    assert why in done.why
    assert serving(context) == (1, 1)
    entry = last(context)
    assert (entry.kind, entry.actor, entry.version, entry.body["restored"]) == ("alias_refused", "mlflow:unknown", 3, True)
    assert why in entry.body["comment"]
    assert context.registry.version(context.problem.name, 3).tags["approval"] == "moved by hand and put back"
    by_hand(context, 3)
    assert follow.glance(context) not in (None, seen), "the watcher tells of the same move again"
    assert followed(policy(context, "follow")).obeyed
    assert serving(context) == (3, 3)
    assert why in last(context).body["comment"]


def test_a_version_that_nobody_judged_or_cannot_be_loaded_is_put_back_under_any_policy(context):
    client, name = context.registry._client, context.problem.name
    run_id = context.registry.version(name, 1).run_id
    foreign = client.create_model_version(name, source=f"runs:/{run_id}/made-elsewhere", run_id=run_id).version
    for one in (context, policy(replace(context, run_key="second"), "follow")):
        by_hand(context, foreign)
        assert not followed(one).obeyed
        assert serving(context) == (1, 1)


def test_a_deleted_alias_is_put_back(context):
    context.registry._client.delete_registered_model_alias(context.problem.name, "champion")
    assert "is gone" in str(follow.glance(context))
    assert "The alias was deleted by hand" in followed(context).why
    assert serving(context) == (1, 1)
    assert last(context).body == {"found": None, "comment": "an alias that is deleted decides nothing", "restored": True}


def test_the_champions_version_deleted_is_told_once_and_serves_on(context):
    context.registry._client.delete_model_version(context.problem.name, "1")
    assert "goes on serving from the store" in followed(context).why
    assert (last(context).kind, last(context).body["restored"]) == ("alias_refused", False)
    assert (follow.run(context), follow.glance(context)) == (None, None)
    assert serving(context) == (1, None)


def test_an_alias_that_only_lags_behind_its_own_move_is_no_hand_move(context):
    """The ledger has moved, the process ended before the alias did."""
    name, ledger = context.problem.name, context.ledger
    target = next(e for e in ledger.entries(name) if e.kind == "verdict" and e.run_key == "night-2")
    to = ledger.champion(name)._replace(version=2, run_key="night-2", model_digest=target.body["model_digest"])
    ledger.move(name, to=to, expected=1, kind="promote", key="killed", actor="gate")
    assert follow.glance(context) is None
    assert follow.run(context) is None
    assert serving(context) == (2, 2)
    assert last(context).key == "killed"


def test_a_champion_that_moves_while_we_look_is_no_hand_move(context, monkeypatch):
    champion = context.ledger.champion(context.problem.name)

    def look(name, which):
        promote.run(context, version=2, actor="cli:anna")
        return 1  # what was seen just before

    assert alias.followed(context, champion)
    assert follow.stands_elsewhere(context, champion, look) == (False, 1)


def test_a_glance_at_a_server_that_is_away_is_worth_another(context):
    away = replace(context.settings, mlflow_url=f"http://127.0.0.1:{free_port(0)}")
    with pytest.raises(TransientError, match="does not say where the alias champion"):
        follow.glance(replace(context, settings=away))
