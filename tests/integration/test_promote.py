"""From a verdict to the champion and back: real Postgres, real MLflow, real models on disk."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ml import promote, register
from ml.embedded.processes import free_port
from ml.errors import DataError, RefusedError, TransientError
from ml.ledger import Ledger
from ml.records import Promoted
from ml.registry import Registry
from tests.integration.state_kit import Fuse, Killed, judged, make_context

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mlflow")


@pytest.fixture
def context(tmp_path, state, mlflow_url):
    return make_context(tmp_path, state, mlflow_url)


@pytest.fixture
def manual(tmp_path, state, mlflow_url):
    return make_context(tmp_path, state, mlflow_url, approval="manual")


def ledger_of(context):
    return Ledger(context.settings.database_url, now=context.settings.now)


def registry_of(context):
    return Registry(context.settings.mlflow_url)


def kinds(context):
    return [entry.kind for entry in ledger_of(context).entries(context.problem.name)]


def due(context, kind):
    return [work.body["version"] for work in ledger_of(context).due(context.problem.name, kind)]


def serving(context):
    """The champion by the ledger and by the alias."""
    champion = ledger_of(context).champion(context.problem.name)
    return champion and champion.version, registry_of(context).alias(context.problem.name, "champion")


def night(context, number, champion=None, **options):
    """A judged and registered run; returns its context."""
    run = judged(context, f"night-{number}", champion=champion, **options)
    register.run(run)
    return run


def promoted(context, **options):
    """What was promoted; there must be something."""
    done = promote.run(context, **options)
    assert done is not None
    return done


def promoted_nights(context, count):
    for number in range(1, count + 1):
        promote.run(night(context, number, champion=number - 1 or None))


def test_a_yes_becomes_a_version_and_a_promotion_is_due(context):
    run = judged(context)
    registered = register.run(run)
    assert register.run(run) == registered
    name = context.problem.name
    assert registered.version == 1
    assert registered.url.endswith(f"/#/models/{name}/versions/1?workflowType=machine_learning")
    version = registry_of(context).version(name, 1)
    assert version.tags["verdict"] == "promote"
    assert version.tags["rows_digest"] == "ab" * 32
    assert version.tags["code_version"].startswith(("git:", "files:"))
    assert registry_of(context).alias(name, "candidate") == 1
    shown = registry_of(context)._client.get_model_version(name, "1").description
    assert [part for part in run.file("card.md").read_text().split("\n\n") if part.strip() not in shown] == []
    assert f"![roc](get-artifact?path=plots%2Froc.png&run_uuid={version.run_id})" in shown
    assert f"[plots and files in MLflow]({registry_of(context).run_url(name, version.run_id)})" in shown
    entry = ledger_of(context).find(name, "verdict", "night-1")
    assert entry.body["verdict"]["decision"] == "promote"
    (work,) = ledger_of(context).due(name, "promote")
    assert work.body == {"version": 1, "run_key": "night-1", "model_digest": version.model_digest, "expected": None}


def test_a_no_is_logged_with_its_verdict_and_registers_nothing(context):
    registered = register.run(judged(context, decision="reject"))
    assert registered.version is None
    run = registry_of(context)._client.get_run(registered.mlflow_run_id)
    assert run.data.tags["verdict_reason"] == "reject: auc gain is too small"
    assert run.data.metrics["candidate/auc"] == 0.74
    assert run.data.metrics["epoch/val_loss"] == 0.55
    assert kinds(context) == ["verdict"]
    assert due(context, "promote") == []
    assert registry_of(context).version(context.problem.name, 1) is None


def test_a_dry_run_registers_nothing(context):
    assert register.run(replace(judged(context), dry_run=True)).version is None
    assert due(context, "promote") == []


def test_with_manual_approval_nothing_is_due_until_a_person_says_so(manual):
    run = judged(manual)
    assert register.run(run).version == 1
    assert due(manual, "promote") == []
    assert due(manual, "approve") == [1]
    assert promote.run(manual) is None
    done = promote.run(manual, version=1, actor="cli:anna", comment="looks good")
    assert done == Promoted(version=1, previous=None, run_key="night-1")
    assert promote.run(manual, version=1, actor="cli:anna") == done
    entry = ledger_of(manual).entries(manual.problem.name)[-1]
    assert (entry.kind, entry.actor, entry.body["comment"]) == ("promote", "cli:anna", "looks good")
    assert kinds(manual) == ["verdict", "promote"]
    assert serving(manual) == (1, 1)
    assert (due(manual, "approve"), due(manual, "deploy")) == ([], [1])
    tags = registry_of(manual).version(manual.problem.name, 1).tags
    assert (tags["approval"], tags["approval_by"], tags["approval_comment"]) == ("approved", "cli:anna", "looks good")


def test_a_changed_model_is_not_registered(context):
    run = judged(context)
    (run.file("model") / "model.json").write_text("{}")
    with pytest.raises(DataError, match="has been changed"):
        register.run(run)


def test_a_run_judged_again_has_both_verdicts_and_promotes_by_the_newest(context):
    register.run(judged(context, decision="reject"))
    register.run(judged(context, decision="promote"))
    assert kinds(context) == ["verdict", "verdict"]
    assert promote.run(context) == Promoted(version=1, previous=None, run_key="night-1")


def test_killed_after_any_step_register_and_promote_end_in_the_same_state(tmp_path, state, mlflow_url, monkeypatch):
    """Every step in turn is the last one of a first process; a second one does it all again."""
    steps = [(Ledger, name) for name in ("append", "move", "ask", "done")]
    steps += [(Registry, name) for name in ("log_run", "create_version", "set_alias")]
    kills = 0
    while True:
        run = judged(make_context(tmp_path / str(kills), state, mlflow_url))
        with monkeypatch.context() as patch:
            fuse = Fuse(kills + 1)
            for owner, name in steps:
                patch.setattr(owner, name, fuse.after(getattr(owner, name)))
            try:
                register.run(run)
                promote.run(run)
                break
            except Killed:
                kills += 1
        register.run(run)
        assert promote.run(run) == Promoted(version=1, previous=None, run_key="night-1")
        assert kinds(run) == ["verdict", "promote"]
        assert serving(run) == (1, 1)
        assert (due(run, "promote"), due(run, "deploy")) == ([], [1])
    # verdict, run, version, promotion asked; moved, alias asked, set and done, deployment asked, promotion done
    assert kills == 10


def test_the_newest_promotion_wins_and_older_ones_are_superseded(context):
    night(context, 1)
    night(context, 2)
    assert promoted(context).version == 2
    assert due(context, "promote") == []
    assert serving(context) == (2, 2)
    (work,) = ledger_of(context).due(context.problem.name, "deploy")
    assert (work.body["version"], work.body["run_key"], work.body["previous"]) == (2, "night-2", None)


def test_what_a_killed_run_left_due_for_deployment_is_told_again(context):
    promoted_nights(context, 1)
    assert promote.run(context) == Promoted(version=1, previous=None, run_key="night-1")
    (work,) = ledger_of(context).due(context.problem.name, "deploy")
    ledger_of(context).done(work, "deployed")
    assert promote.run(context) is None


def test_a_candidate_compared_with_a_former_champion_is_refused_once_and_for_all(context):
    promoted_nights(context, 1)
    night(context, 2, champion=None)
    with pytest.raises(RefusedError, match="by now it is version 1 of run night-1"):
        promote.run(context)
    assert serving(context) == (1, 1)
    assert due(context, "promote") == []
    assert kinds(context)[-1] == "refused"


def test_a_version_without_a_yes_is_refused_with_its_broken_rules(manual):
    run = judged(manual, decision="promote")
    register.run(run)
    register.run(judged(manual, decision="reject"))
    with pytest.raises(RefusedError, match="its verdict is reject: auc gain is too small"):
        promote.run(manual, version=1, actor="cli:anna")
    with pytest.raises(RefusedError, match=r"Version 9 .* never registered"):
        promote.run(manual, version=9, actor="cli:anna")
    assert serving(manual) == (None, None)


def test_a_deleted_version_is_refused(context):
    run = night(context, 1)
    registry_of(context)._client.delete_model_version(context.problem.name, "1")
    with pytest.raises(RefusedError, match="was deleted"):
        promote.run(run)
    assert serving(context) == (None, None)


def test_a_model_changed_on_disk_is_refused(context):
    run = night(context, 1)
    (run.file("model") / "example.json").write_text("{}")
    with pytest.raises(RefusedError, match="has been changed since it was registered"):
        promote.run(run)
    assert serving(context) == (None, None)


def test_two_promotions_of_the_same_candidate_at_once_make_one_move(manual):
    register.run(judged(manual))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: promote.run(manual, version=1, actor="cli:anna"), range(2)))
    assert results == [Promoted(version=1, previous=None, run_key="night-1")] * 2
    assert kinds(manual).count("promote") == 1


def test_rollback_goes_back_step_by_step_and_ends_where_there_is_no_step_left(context):
    promoted_nights(context, 3)
    first = promote.rollback(replace(context, run_key="back-1"), actor="cli:anna", comment="too many alarms")
    assert (first.version, first.previous) == (2, 3)
    assert serving(context) == (2, 2)
    assert promote.rollback(replace(context, run_key="back-1"), actor="cli:anna").version == 2
    assert promote.rollback(replace(context, run_key="back-2"), actor="cli:anna").version == 1
    assert due(context, "deploy")[-2:] == [2, 1]
    with pytest.raises(RefusedError, match="no champion before it"):
        promote.rollback(replace(context, run_key="back-3"), actor="cli:anna")


def ask_back(context, *, to):
    """What the monitor writes when the champion before does better."""
    champion = ledger_of(context).champion(context.problem.name)
    body = {"version": champion.version, "to": to, "entry": champion.entry, "why": f"version {to} does better"}
    ledger_of(context).ask(context.problem.name, "rollback", f"v{champion.version}-move-{champion.entry}", body)


def test_a_way_back_that_is_due_is_gone_once_killed_or_not(context, monkeypatch):
    promoted_nights(context, 2)
    ask_back(context, to=1)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "move", Fuse(1).after(Ledger.move))
        with pytest.raises(Killed):
            promote.rollback_due(context)
    moved = promote.rollback_due(replace(context, run_key="the next run"))
    assert moved is not None and (moved.version, moved.previous) == (1, 2)
    assert promote.rollback_due(context) is None and serving(context) == (1, 1)
    (entry,) = [entry for entry in ledger_of(context).entries(context.problem.name) if entry.kind == "rollback"]
    assert (entry.actor, entry.body["comment"]) == ("monitor", "version 1 does better")
    assert due(context, "deploy")[-1] == 1


def test_a_way_back_from_a_champion_that_is_none_any_more_is_not_gone(context):
    promoted_nights(context, 2)
    ask_back(context, to=1)
    promote.run(night(context, 3, champion=2))
    assert promote.rollback_due(context) is None and serving(context) == (3, 3)
    assert due(context, "rollback") == []


def test_a_way_back_to_a_model_that_changed_is_refused_once_and_nothing_moves(context):
    promoted_nights(context, 2)
    ask_back(context, to=1)
    context.store.write("runs/night-1/model/model.json", b"{}")
    with pytest.raises(RefusedError, match="was not moved"):
        promote.rollback_due(context)
    assert promote.rollback_due(context) is None and serving(context) == (2, 2)


def test_rollback_to_a_named_version_takes_only_former_champions(context):
    promoted_nights(context, 3)
    with pytest.raises(RefusedError, match="Earlier champions: 1, 2"):
        promote.rollback(replace(context, run_key="back-1"), to=9, actor="cli:anna")
    assert promote.rollback(replace(context, run_key="back-1"), to=1, actor="cli:anna").version == 1
    assert promote.rollback(replace(context, run_key="back-2"), to=3, actor="cli:anna").version == 3
    assert serving(context) == (3, 3)


def test_a_version_rolled_back_may_be_promoted_again_by_hand(manual):
    for number in (1, 2):
        night(manual, number, champion=number - 1 or None)
        promote.run(manual, version=number, actor="cli:anna")
    promote.rollback(replace(manual, run_key="back"), actor="cli:anna")
    assert promoted(manual, version=2, actor="cli:anna").version == 2
    assert kinds(manual)[-3:] == ["promote", "rollback", "promote"]
    assert serving(manual) == (2, 2)


def test_rollback_works_while_mlflow_is_away_and_the_alias_follows_later(context):
    promoted_nights(context, 2)
    away = replace(context.settings, mlflow_url=f"http://127.0.0.1:{free_port(0)}")
    assert promote.rollback(replace(context, settings=away, run_key="back"), actor="cli:anna").version == 1
    assert serving(context) == (1, 2)
    assert due(context, "deploy")[-1] == 1
    promote.run(context)
    assert serving(context) == (1, 1)


def test_a_promotion_while_mlflow_is_away_moves_nothing_and_is_worth_a_retry(context):
    run = night(context, 1)
    away = replace(context.settings, mlflow_url=f"http://127.0.0.1:{free_port(0)}")
    with pytest.raises(TransientError):
        promote.run(replace(run, settings=away))
    assert serving(context) == (None, None)
    assert promoted(run).version == 1


def test_a_dry_run_promotes_nothing(context):
    night(context, 1)
    assert promote.run(replace(context, dry_run=True)) is None
    assert serving(context) == (None, None)
