"""A person decides whether a candidate that the gate let through becomes champion.

Airflow asks and carries the answer. Here stands what is asked, whether an answer still fits what it is about, and where it
is written down. The promotion itself is the next stage's: an approval only makes it due.
"""

import logging

from ml import card, judged
from ml.context import Context
from ml.errors import RefusedError
from ml.ledger import About, Champion
from ml.records import Answer, Evaluated, Prepared, Question, Rehearsed, Verdict

log = logging.getLogger(__name__)
NOBODY = "airflow"  # who rejects when nobody answered in time


def ask(context: Context, *, version: int | None = None, again: bool = False) -> Question | None:
    """What a person is to be asked now: about `version`, or about the newest candidate that waits; None when none does.

    Events may be doubled, so a candidate is asked about by one run only.

    Args:
        again: ask all the same; the run that asked first may have been cancelled.
    Raises: RefusedError: the verdict on `version` is missing or does not say promote.
    """
    if version is not None:
        entry = judged.demand_yes(context, version)
        verdict = entry.body["verdict"]
        digests = {"model_digest": entry.body["model_digest"], "verdict_digest": entry.body["digest"]}
        return Question(version=version, run_key=str(entry.run_key), expected=verdict["champion_version"], **digests)
    name, ledger = context.problem.name, context.ledger
    if not (due := ledger.due(name, "approve")):
        return None
    waits = Question.model_validate(due[-1].body)
    about: About = {"version": waits.version, "run_key": waits.run_key, "body": {"run": context.run_key}}
    asked = ledger.append(name, "approval_asked", key=due[-1].key, actor=NOBODY, **about)
    if asked.body["run"] != context.run_key and not again:
        log.info("version %d is asked about by the run %s", waits.version, asked.body["run"])
        return None
    return waits


def subject(context: Context, question: Question) -> str:
    """The question in one line."""
    return f"{context.problem.problem.title}: may version {question.version} become the champion?"


def body(context: Context, question: Question) -> str:
    """The card's essentials in Markdown, with the digests that the answer will be bound to."""
    run, gate = context.of_run(question.run_key), context.problem.gate
    rehearsed = run.record(Rehearsed) if run.has(Rehearsed) else None
    shown = card.essentials(context.problem, run.record(Prepared), run.record(Evaluated), run.record(Verdict), rehearsed)
    page = context.registry.version_url(context.problem.name, question.version)
    return "\n\n".join(
        [
            shown,
            f"[The whole card, plots and data of version {question.version} in MLflow]({page})",
            f"**Approve** makes it champion and deploys it. **Reject** leaves all as it is; so does no answer within "
            f"{gate.approval_hours} hours. Your name and words go to the ledger and to the version in MLflow.",
            f"Run `{question.run_key}`, model `{question.model_digest}`, verdict `{question.verdict_digest}`, compared with "
            f"{_version(question.expected)}. If any of these changes before the answer, an approval is refused.",
        ]
    )


def answer(context: Context, question: Question, given: Answer) -> bool:
    """Write down what a person said; returns whether the promotion is due now. The context's run key names the answer.

    Raises: RefusedError: approved, but what was asked about is outdated; the message says how.
    """
    written = context.ledger.find(context.problem.name, "approved", context.run_key)  # killed after this, all was checked
    if given.approved and written is None:
        _refuse_outdated(context, question, given)
    _write_down(context, question, given, "approved" if given.approved else "rejected")
    if given.approved:
        due = question.model_dump(include={"version", "run_key", "model_digest", "expected"})
        due |= {"actor": _who(given), "comment": given.comment}
        context.ledger.ask(context.problem.name, "promote", context.run_key, due)
    return given.approved


def outdated(context: Context, question: Question) -> str:
    """Why an approval no longer fits what it was given for; empty when it does."""
    name, ledger = context.problem.name, context.ledger
    entry, champion = judged.verdict_of(context, question.run_key), ledger.champion(name)
    if entry is None or entry.body["digest"] != question.verdict_digest:
        return "the gate has judged its run again since you were asked. Read the new verdict and answer the new question"
    if (champion.version if champion else None) != question.expected:
        now = _version(champion.version if champion else None)
        return f"it was compared with {_version(question.expected)}, and by now there is {now}"
    newer = [work.body["version"] for work in ledger.due(name, "approve") if work.body["version"] > question.version]
    if newer:
        return f"version {newer[-1]} is a newer candidate and waits for an answer too. Answer that one, or reject it first"
    try:
        judged.demand_same(context, Champion(question.version, question.run_key, question.model_digest))
    except RefusedError as error:
        return str(error)
    return ""


def _refuse_outdated(context: Context, question: Question, given: Answer) -> None:
    if why := outdated(context, question):
        _write_down(context, question, given, "refused", reason=why)
        raise RefusedError(f"Version {question.version} was approved by {_who(given)} and stays a candidate: {why.rstrip('.')}.")


def _write_down(context: Context, question: Question, given: Answer, kind: str, **more: str) -> None:
    """To the ledger, to the version's tags, and off the list of what waits."""
    name, ledger, who = context.problem.name, context.ledger, _who(given)
    silence = "" if given.by else f"nobody answered within {context.problem.gate.approval_hours} hours"
    said = {"comment": given.comment or silence}
    about = question.model_dump(include={"model_digest", "verdict_digest", "expected"})
    version, run_key = question.version, question.run_key
    ledger.append(name, kind, key=context.run_key, actor=who, version=version, run_key=run_key, body=about | said | more)
    judged.tag(context, version, " ".join([kind, *more.values()]), by=who, comment=said["comment"])
    for work in ledger.due(name, "approve"):
        if work.body["verdict_digest"] == question.verdict_digest:
            ledger.done(work, f"{kind}, {who}")


def _who(given: Answer) -> str:
    return f"airflow:{given.by}" if given.by else NOBODY


def _version(version: int | None) -> str:
    return "no champion" if version is None else f"version {version}"
