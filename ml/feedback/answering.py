"""What labellers answer: which rows are open to whom, and their answers written to the table `labels`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from ml import labels, targets
from ml.context import Context
from ml.feedback.queue import batches
from ml.feedback.task import Task
from ml.labels import Label

LABELLING = "labelling"


@dataclass(frozen=True)
class Answer:
    """One labeller's label of one key."""

    key: str
    label: Any
    labeller: str


def open_tasks(context: Context, labeller: str | None = None) -> list[Task]:
    """Rows that are asked about, newest batch first; without those that this labeller, or anybody, has labelled."""
    given = held(context)
    done = {key for key, by in given if labeller in (None, by)}
    tasks: dict[str, Task] = {}
    for batch in batches(context):
        for task in batch.tasks:
            tasks.setdefault(task.key, task)
    return [task for key, task in tasks.items() if key not in done]


def held(context: Context) -> dict[tuple[str, str], Any]:
    """The newest label of each key by each person who was asked."""
    rows = labels.read(context)
    asked = rows.filter(pc.and_(pc.equal(rows["_source"], LABELLING), pc.is_valid(rows["_key"])))
    ordered = asked.sort_by([("_at", "ascending"), ("_order", "ascending")])
    columns = (ordered[name].to_pylist() for name in ("_key", "_labeller", "_label"))
    return {(key, by): json.loads(text) for key, by, text in zip(*columns, strict=True)}


def take(context: Context, answers: Sequence[Answer], *, by: str) -> int:
    """Write answers down; what a labeller said of a key before is not written twice.

    Returns: how many were new.
    Raises: DataError: a label is none for the problem; nothing is written.
    """
    known, now = held(context), context.settings.now()
    tasks = {task.key: task for batch in reversed(batches(context)) for task in batch.tasks}
    new: dict[tuple[str, str], Label] = {}
    for one in answers:
        label, task, who = targets.checked(one.label, context.problem), tasks.get(one.key), (one.key, one.labeller)
        about = {"request_id": task.request_id, "position": task.position} if task else {}
        new[who] = Label(one.key, label, LABELLING, one.labeller, now, **about)  # type: ignore[arg-type]
    return labels.add(context, [label for who, label in new.items() if who not in known or known[who] != label.label], by=by)
