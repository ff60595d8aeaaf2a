"""A person's answer: asked once, bound to digests, written to ledger and MLflow; outdated approvals are refused."""

from dataclasses import replace

import pytest

from ml import approve, promote, register
from ml.errors import RefusedError
from ml.records import Answer
from tests.integration.state_kit import judged, make_context

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mlflow")
YES = Answer(approved=True, by="anna", comment="fewer false alarms")


@pytest.fixture
def context(tmp_path, state, mlflow_url):
    return make_context(tmp_path, state, mlflow_url, approval="manual")


def candidate(context, number, *, champion=None, **options):
    """A night whose candidate waits for an answer, and the run of Airflow that asks."""
    register.run(judged(context, f"night-{number}", champion=champion, **options))
    return replace(context, run_key=f"promotion-{number}")


def kinds(context):
    return [entry.kind for entry in context.ledger.entries(context.problem.name)]


def tags(context, version):
    return context.registry.version(context.problem.name, version).tags


def champion(context):
    found = context.ledger.champion(context.problem.name)
    return found and found.version


def asked(run, **options):
    """The question; there must be one."""
    question = approve.ask(run, **options)
    assert question is not None
    return question


def refused(run, question, match):
    with pytest.raises(RefusedError, match=match):
        approve.answer(run, question, YES)
    entry = run.ledger.entries(run.problem.name)[-1]
    assert (entry.kind, entry.actor, entry.body["comment"]) == ("refused", "airflow:anna", "fewer false alarms")
    assert tags(run, question.version)["approval"].startswith("refused")
    assert run.ledger.due(run.problem.name, "promote") == []


def test_the_question_shows_what_a_person_must_know_and_is_asked_by_one_run(context):
    run = candidate(context, 1)
    assert tags(run, 1)["approval"] == f"waits for a person, in promote_{run.problem.name}"
    question = asked(run)
    assert approve.ask(run) == question, "a task tried again asks again"
    assert approve.ask(replace(run, run_key="doubled")) is None
    assert approve.ask(replace(run, run_key="by hand"), again=True) == question
    assert approve.subject(run, question) == "Will it be late?: may version 1 become the champion?"
    shown = approve.body(run, question)
    for part in (
        "**Verdict: promote.** It may become the first champion.", "On a usual day of 920 flights it warns of 201",
        "| against baseline linear", "0.7400 (0.7300 to 0.7500)", "models/late_", question.model_digest, question.verdict_digest,
        "within 72 hours", "compared with no champion",
    ):  # fmt: skip
        assert part in shown, part


def test_an_approval_moves_the_champion_and_keeps_who_and_why(context):
    run = candidate(context, 1)
    question = asked(run)
    assert approve.answer(run, question, YES)
    assert approve.answer(run, question, YES), "killed and tried again"
    promote.run(run)
    assert champion(run) == 1
    assert approve.answer(run, question, YES), "killed after the promotion"
    assert kinds(run) == ["verdict", "approval_asked", "approved", "promote"]
    approved, moved = run.ledger.entries(run.problem.name)[-2:]
    assert approved.body == {
        "comment": "fewer false alarms", "expected": None,
        "model_digest": question.model_digest, "verdict_digest": question.verdict_digest,
    }  # fmt: skip
    assert (moved.actor, moved.body["comment"]) == ("airflow:anna", "fewer false alarms")
    told = tags(run, 1)
    assert (told["approval"], told["approval_by"], told["approval_comment"]) == ("approved", "airflow:anna", "fewer false alarms")
    assert told["approval_at"] == "2013-02-01T08:00:00Z"
    assert approve.ask(replace(run, run_key="next")) is None


@pytest.mark.parametrize(
    ("said", "by", "comment"),
    [
        (Answer(approved=False, by="anna", comment="too many alarms"), "airflow:anna", "too many alarms"),
        (Answer(approved=False), "airflow", "nobody answered within 72 hours"),
    ],
    ids=["rejected", "timed out"],
)
def test_a_no_and_silence_move_nothing_and_are_written_down(context, said, by, comment):
    run = candidate(context, 1)
    assert not approve.answer(run, asked(run), said)
    assert promote.run(run) is None
    assert champion(run) is None
    entry = run.ledger.entries(run.problem.name)[-1]
    assert (entry.kind, entry.actor, entry.body["comment"]) == ("rejected", by, comment)
    assert (tags(run, 1)["approval"], tags(run, 1)["approval_by"]) == ("rejected", by)
    assert approve.ask(replace(run, run_key="next"), again=True) is None
    assert asked(replace(run, run_key="next"), version=1).version == 1, "a person may ask for it anew"


def test_an_approval_is_refused_when_another_champion_was_promoted_meanwhile(context):
    run = candidate(context, 1)
    question = asked(run)
    other = candidate(context, 2)
    promote.run(other, version=2, actor="cli:bert")
    refused(run, question, "compared with no champion, and by now there is version 2")
    assert champion(run) == 2


def test_an_approval_is_refused_while_a_newer_candidate_waits_until_that_is_rejected(context):
    run = candidate(context, 1)
    question = asked(run)
    newer = candidate(context, 2)
    refused(run, question, "version 2 is a newer candidate")
    assert not approve.answer(newer, asked(newer), Answer(approved=False, by="anna"))
    again = replace(run, run_key="again")
    assert approve.answer(again, asked(again, version=1), YES)
    promote.run(again)
    assert champion(again) == 1


def test_an_approval_is_refused_when_the_run_was_judged_again_or_the_model_is_another(context):
    run = candidate(context, 1)
    question = asked(run)
    (context.of_run("night-1").file("model") / "example.json").write_text("{}")
    refused(run, question, "has been changed since it was registered")
    run = candidate(context, 2)
    question = asked(run)
    candidate(context, 2, decision="reject")
    refused(replace(run, run_key="judged again"), question, "the gate has judged its run again")


def test_a_version_that_the_gate_refused_is_not_even_asked_about(context):
    candidate(context, 1)
    candidate(context, 1, decision="reject")
    with pytest.raises(RefusedError, match="its verdict is reject"):
        approve.ask(context, version=1)
