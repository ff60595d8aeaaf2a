"""The sections in the order of reading, and what is left out where there is too little room."""

from collections.abc import Iterator
from typing import NamedTuple

from ml.card import rehearsal, sections
from ml.card.facts import Facts
from ml.problem import Problem
from ml.records import Evaluated, Prepared, Rehearsed, Verdict

LONGEST = 4900  # characters; MLflow cuts a description at 5,000
MOST_SLICES, FEWEST_SLICES = 60, 3
LEFT_OUT = "\n\nThe whole card is `card.md` among the run's artifacts.\n"


class Part(NamedTuple):
    """One section. Where there is too little room, those of the highest rank go first; rank 0 always stays."""

    text: str
    rank: int = 0


def render(facts: Facts, *, room: int = LONGEST) -> str:
    """The card, at most `room` characters long: fewer slices first, then fewer sections, and before the last ones fewer rules."""
    whole = _joined(list(_parts(facts, MOST_SLICES)))
    if len(whole) < room:
        return whole + "\n"
    ranks = range(max(part.rank for part in _parts(facts, 1)), 0, -1)
    for rank, brief in [*((rank, False) for rank in ranks), (1, True), (0, False), (0, True)]:
        for num_slices in range(MOST_SLICES, FEWEST_SLICES - 1, -1):
            text = _joined([part for part in _parts(facts, num_slices, brief=brief) if part.rank <= rank]) + LEFT_OUT
            if len(text) <= room:
                return text
    return text[: room - len(LEFT_OUT)].rsplit("\n", 1)[0] + LEFT_OUT


def essentials(
    problem: Problem, prepared: Prepared, evaluated: Evaluated, verdict: Verdict, rehearsed: Rehearsed | None = None
) -> str:
    """What a person must know to say yes or no: the verdict, what it means in a day, what changes for callers, the rules, the
    models side by side.
    """
    part = prepared.test
    told = [
        sections.decision(problem, evaluated, verdict),
        f"Judged on {part.num_rows:,} {problem.problem.rows} of {part.first} to {part.last}.",
        sections.rules(verdict),
        sections.quality(problem, evaluated),
        sections.reference(problem, evaluated),
        rehearsal.section(problem, rehearsed),
    ]
    return "\n\n".join(filter(None, told))


def _parts(facts: Facts, num_slices: int, *, brief: bool = False) -> Iterator[Part]:
    """Every section that has something to tell. A new one is one more line here."""
    problem, evaluated = facts.problem, facts.evaluated
    parts = [
        Part(sections.what(problem, facts.run_key)),
        Part(sections.decision(problem, evaluated, facts.verdict)),
        Part(sections.rules(facts.verdict, brief=brief)),
        Part(sections.quality(problem, evaluated)),
        Part(sections.reference(problem, evaluated), rank=3),
        Part(rehearsal.section(problem, facts.rehearsed), rank=1),
        Part(sections.data(problem, facts.prepared, facts.trained)),
        Part(sections.slices(problem, evaluated, num_slices), rank=2),
        Part(sections.groups(evaluated), rank=1),
        Part(sections.features(problem, evaluated), rank=3),
        Part(sections.exports(problem, facts.trained), rank=4),
        Part(sections.examples(evaluated, "error"), rank=5),
        Part(sections.examples(evaluated, "flip"), rank=6),
        Part(rehearsal.examples(facts.rehearsed), rank=6),
        Part(sections.plots(facts.pictures), rank=1),
        Part(sections.rollback(problem, evaluated)),
        Part(sections.limits(problem, facts.prepared, evaluated, facts.trained)),
        Part(sections.links(facts.links), rank=1),
    ]
    return (part for part in parts if part.text)


def _joined(parts: list[Part]) -> str:
    return "\n\n".join(part.text for part in parts)
