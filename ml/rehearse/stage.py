"""The stage: both models answer the same rows in processes of their own; the record says what would change for callers."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ml import snapshot
from ml.alone import MEGABYTE, Alone, alone, can_start_from_nothing
from ml.context import Context
from ml.errors import DataError
from ml.ledger import Champion
from ml.problem import Problem
from ml.records import Changed, Rehearsed, Trained
from ml.rehearse import bench, differ, effort, rows
from ml.rehearse.rows import Asked, Columns
from ml.scoring import in_words
from ml.snapshot import REHEARSED

log = logging.getLogger(__name__)
CANDIDATE, CHAMPION = "candidate", "champion"
MOST_SHOWN = 10
Answers = Sequence[dict[str, Any] | str]


@dataclass(frozen=True)
class Pair:
    """The model folders that are rehearsed; `problem` says why a champion that there is, is not among them."""

    candidate: Path
    champion: Path | None
    version: int | None = None
    problem: str = ""

    @property
    def folders(self) -> dict[str, Path]:
        """The folders by name, champion first."""
        both = {CHAMPION: self.champion, CANDIDATE: self.candidate}
        return {name: folder for name, folder in both.items() if folder}

    @cached_property
    def fresh(self) -> bool:
        """Whether their processes start from nothing, imports and all."""
        return can_start_from_nothing(self.folders.values())

    @cached_property
    def columns(self) -> Columns:
        """What each takes."""
        return Columns(rows.columns_of(self.candidate), rows.columns_of(self.champion) if self.champion else None)

    def columns_of(self, name: str) -> frozenset[str]:
        """What the model of that name takes."""
        return self.columns.candidate if name == CANDIDATE else self.columns.champion or frozenset()


def run(context: Context) -> Rehearsed:
    """Rehearse the run's candidate beside the champion; without one, or where it cannot be loaded, alone.

    Raises:
        DataError: the candidate cannot be loaded, or does not answer.
        TransientError: the database or the store is away, or a model's process died.
    """
    trained, champion = context.record(Trained), context.ledger.champion(context.problem.name)
    if champion and champion.run_key == context.run_key and context.has(Rehearsed):
        return context.record(Rehearsed)  # cleared after its own promotion: never rehearsed against itself
    inputs = [trained.model_digest, [champion.version, champion.model_digest] if champion else None]
    rehearsed = context.once(Rehearsed, inputs, lambda: _rehearse(context, trained, champion))
    log.info("rehearse: %s", rehearsed.sentence)
    return rehearsed


def prepared(context: Context, trained: Trained, champion: Champion | None) -> tuple[Pair, Asked]:
    """The models and the rows to ask them about; a champion that needs a column which only the log could hold drops out."""
    pair = _pair(context, trained, champion)
    asked = rows.asked(context, pair.columns)
    absent = sorted(pair.columns.both - asked.rows[0].keys()) if asked.rows else []
    if not absent or pair.champion is None:
        return pair, asked
    why = f"champion {pair.version} cannot be rehearsed: no row holds {absent[0]!r}"
    return Pair(pair.candidate, None, pair.version, why), asked


def _pair(context: Context, trained: Trained, champion: Champion | None) -> Pair:
    """The folders of both models, to the byte those that were trained and promoted."""
    candidate = snapshot.model_of(context.store, context.run_key, trained.model_digest)
    if champion is None or champion.run_key == context.run_key:
        return Pair(candidate, None)
    try:
        if other := snapshot.other_question(context.of_run(champion.run_key)):
            raise DataError(other)
        folder = snapshot.model_of(context.store, champion.run_key, champion.model_digest)
    except DataError as error:
        return Pair(candidate, None, champion.version, f"champion {champion.version} cannot be rehearsed: {error}")
    return Pair(candidate, folder, champion.version)


def _rehearse(context: Context, trained: Trained, champion: Champion | None) -> Rehearsed:
    began = time.monotonic()
    pair, asked = prepared(context, trained, champion)
    with ExitStack() as stack:
        models = {name: stack.enter_context(alone(folder, fresh=pair.fresh)) for name, folder in pair.folders.items()}
        for name, model in models.items():
            model.keep(rows.only(asked.rows, pair.columns_of(name)))
        said = {name: model.answers() for name, model in models.items()}
        changes = _changes(asked, said, pair)
        takes = _takes(models, said, asked, pair)
    kept = _keep_rows(context, asked, said)
    return Rehearsed(
        model_digest=trained.model_digest,
        asked=asked.kind,
        why=asked.why,
        num_rows=len(asked.rows),
        first=asked.logged[0].served_at if asked.logged else None,
        last=asked.logged[-1].served_at if asked.logged else None,
        num_unfit=asked.num_unfit,
        training=effort.compared(context, trained, champion),
        champion_version=pair.version,
        champion_problem=pair.problem,
        examples=tuple(_shown(one, context.problem) for one in kept[:MOST_SHOWN]) if context.problem.success.show_rows else (),
        fresh=pair.fresh,
        seconds=round(time.monotonic() - began, 2),
        **changes,
        **takes,
    )


def _changes(asked: Asked, said: Mapping[str, Answers], pair: Pair) -> dict[str, Any]:
    """What callers would notice."""
    mine, theirs = said[CANDIDATE], said.get(CHAMPION)
    refusals = differ.refused(mine, theirs)
    found = {"added": pair.columns.added, "dropped": pair.columns.dropped, "num_refused": len(refusals)}
    found |= {"refusal": refusals[0]} if refusals else {}
    if theirs is None:
        return found
    both = differ.answered(mine, theirs)
    return found | {
        "unlike_log": differ.unlike_log(theirs, asked.logged, pair.version),
        "difference": differ.difference(*differ.of(both, mine, theirs)) if both else None,
    }


def _takes(models: Mapping[str, Alone], said: Mapping[str, Answers], asked: Asked, pair: Pair) -> dict[str, Any]:
    """Time and memory, on the rows that every model answers.

    Raises: DataError: there are none.
    """
    timed = differ.answered(*said.values())
    if not timed:
        raise DataError(
            f"The candidate answers none of {len(asked.rows):,} rows: {next(iter(said[CANDIDATE]), 'there are no rows')}. Mend "
            "the features and train again."
        )
    for name, model in models.items():
        model.keep(rows.only([asked.rows[place] for place in timed], pair.columns_of(name)))
    turns = bench.measure(models, len(timed))
    starts = _starts(models, pair)
    measured = {name: bench.performance(models[name], turns[name], _size_mb(pair.folders[name]), starts[name]) for name in models}
    found: dict[str, Any] = dict(measured) | {"batch_rows": bench.BATCH_ROWS}
    if CHAMPION in measured:
        both = (measured[CANDIDATE], measured[CHAMPION], turns[CANDIDATE], turns[CHAMPION])
        found["growth"] = bench.growth(*both)
    return found


def _starts(models: Mapping[str, Alone], pair: Pair) -> dict[str, float]:
    """Seconds from the start of a process to its first answer, by name."""
    first = {name: model.start_s for name, model in models.items()}
    if CHAMPION not in first:
        return first

    def again() -> tuple[float, float]:
        mine, theirs = (_start_s(pair.folders[name], fresh=pair.fresh) for name in (CANDIDATE, CHAMPION))
        return mine, theirs

    return dict(zip((CANDIDATE, CHAMPION), bench.quickest(first[CANDIDATE], first[CHAMPION], again), strict=True))


def _start_s(folder: Path, *, fresh: bool) -> float:
    with alone(folder, fresh=fresh) as model:
        return model.start_s


def _keep_rows(context: Context, asked: Asked, said: Mapping[str, Answers]) -> list[dict[str, Any]]:
    """Write and return the rows whose answers changed most, as the request log holds them, for people who may see rows."""
    mine, theirs = said[CANDIDATE], said.get(CHAMPION)
    both = differ.answered(mine, theirs) if theirs is not None else []
    new, old = differ.of(both, mine, theirs or [])
    kept = [
        {
            "key": asked.keys[both[place]],
            "candidate": new[place],
            "champion": old[place],
            "row": asked.rows[both[place]],
        }
        for place in differ.widest(new, old)
    ]
    context.store.write_json(context.name(REHEARSED), kept)
    return kept


def _shown(kept: dict[str, Any], problem: Problem) -> Changed:
    """A row as it may stand in MLflow: without the columns that are redacted."""
    row = {name: str(value) for name, value in kept["row"].items() if name not in problem.privacy.redact and value is not None}
    return Changed(key=kept["key"], candidate=in_words(kept["candidate"]), champion=in_words(kept["champion"]), row=row)


def _size_mb(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEGABYTE, 3)
