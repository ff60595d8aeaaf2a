"""Feedback joined with what it is about, by request or by key, and written to the table `labels` exactly once.

The table's ids make that so: a run that was killed between the table and the database writes nothing twice when it comes again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml.context import Context
from ml.errors import DataError
from ml.labels import Label, add
from ml.problem import Problem
from ml.records import Fed
from ml.requests import feedback
from ml.requests.feedback import Found, Said
from ml.window import Window, local_day

log = logging.getLogger(__name__)
SETTLED = timedelta(days=1)  # a request is in the log, and a row in the tables, by then


@dataclass(frozen=True)
class End:
    """How one thing that was told ended: `joined` with the label that it makes, `asked` for one, `agreed` to, or `dropped`."""

    outcome: str
    key: str | None
    label: Any = None


def run(context: Context) -> Fed:
    """Join what was told since; what has no request or key yet waits, at most [feedback] wait_days.

    Raises: TransientError: the database or the store is away; run it again.
    """
    url, problem, now = context.settings.database_url, context.problem, context.settings.now()
    told = feedback.waiting(url, problem.name)
    answers, rows = Answers.of(feedback.answers(url, problem.name, told)), _rows(context, told)
    ends = {one.id: end for one in told if (end := ended(one, answers.about(one), problem, has_row=one.key in rows))}
    oldest = now - timedelta(days=problem.feedback.wait_days)
    ends |= {one.id: End("dropped", None) for one in told if one.id not in ends and one.received_at < oldest}
    labels = [_label(one, ends[one.id]) for one in told if one.id in ends and ends[one.id].outcome == "joined"]
    add(context, labels, by="feedback")
    feedback.finish(url, problem.name, {name: (end.outcome, end.key) for name, end in ends.items()}, now)
    feedback.forget(url, problem.name, now - timedelta(days=max(problem.retention.versions_days, problem.feedback.wait_days) + 1))
    left = [one for one in told if one.id not in ends]
    fed = Fed(
        num_joined=len(labels),
        num_asked=sum(end.outcome == "asked" for end in ends.values()),
        num_waiting=len(left),
        num_dropped=sum(end.outcome == "dropped" for end in ends.values()),
        unmatched_share=_unmatched(context, left),
        limit=problem.feedback.unmatched_share,
    )
    log.info("feedback: %s", fed.sentence)
    if not context.dry_run:
        context.store.write_json(Fed.latest, fed.model_dump(mode="json"))
    return context.write(fed)


def watch(context: Context) -> None:
    """Raises: DataError: more feedback is unmatched than the problem allows; what was matched is in the table all the same."""
    fed = context.record(Fed)
    if not fed.holds:
        raise DataError(
            f"{fed.unmatched_share:.1%} of the feedback belongs to no request and no key that is known, allowed are "
            f"{fed.limit:.1%}. Look at what clients send as request_id and key; [serving] sample below 1 leaves requests out of "
            "the log, and [feedback] unmatched_share is the limit."
        )


@dataclass(frozen=True)
class Answers:
    """Answered rows by request and place, and the latest one by key."""

    by_place: Mapping[tuple[str, int], Found]
    by_key: Mapping[str, Found]

    @classmethod
    def of(cls, found: Sequence[Found]) -> "Answers":
        """From rows in the order in which they were answered."""
        places = {(one.request_id, one.position): one for one in found}
        return cls(places, {one.key: one for one in found if one.key is not None})

    def about(self, said: Said) -> Found | None:
        """The answered row that is meant."""
        if said.request_id is not None:
            return self.by_place.get((said.request_id, said.position))
        return self.by_key.get(said.key or "")


def ended(said: Said, answer: Found | None, problem: Problem, *, has_row: bool) -> End | None:
    """What comes of one thing that was told; None while nothing is known of what it is about.

    Args:
        has_row: whether a validated row has its key.
    """
    key = answer.key if answer is not None and answer.key is not None else said.key
    label = feedback.label_of(said)
    if label is not None:
        return End("joined", key, label) if answer or has_row else None
    if answer is None:
        return None
    if answer.decision is None:  # a number is never quite right
        return End("asked" if said.verdict == "wrong" else "agreed", key)
    if said.verdict == "right":
        return End("joined", key, _decided(answer.decision, problem))
    return End("joined", key, not answer.decision) if problem.problem.task == "binary" else End("asked", key)


def _decided(decision: Any, problem: Problem) -> Any:
    return {name: name in decision for name in problem.outputs} if problem.problem.task == "multilabel" else decision


def _label(said: Said, end: End) -> Label:
    source: Any = said.source
    about = {"request_id": said.request_id, "position": said.position, "id": said.id, "order": said.ordinal}
    return Label(end.key, end.label, source, said.labeller, said.received_at, **about)  # type: ignore[arg-type]


def _rows(context: Context, told: Sequence[Said]) -> set[str]:
    """Keys that something was told about and that validated rows have."""
    keys = sorted({one.key for one in told if one.key is not None})
    table, source = context.table("valid"), context.problem.source
    days = table.days()
    if not keys or not days:
        return set()
    start = local_day(min(one.received_at for one in told), source.timezone) - timedelta(days=source.history_days)
    window = Window(min(start, days[-1]), days[-1] + timedelta(days=1))
    found = (pc.cast(batch.column(0), pa.string()) for batch in table.batches(window, columns=[source.key]))
    return {key for column in found for key in column.filter(pc.is_in(column, value_set=pa.array(keys))).to_pylist()}


def _unmatched(context: Context, left: Sequence[Said]) -> float | None:
    policy, now = context.problem.feedback, context.settings.now()
    since = now - max(SETTLED, timedelta(days=policy.wait_days))
    counts = feedback.ended(context.settings.database_url, context.problem.name, since)
    lost = counts.get("dropped", 0) + sum(one.received_at < now - SETTLED for one in left)
    total = sum(counts.values()) + lost - counts.get("dropped", 0)
    return lost / total if total >= policy.minimum_rows else None
