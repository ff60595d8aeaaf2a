"""Training a registered version again, from what its run recorded, to see whether the same model comes out."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml import apart, features, judged, past, register, snapshot
from ml.context import Context
from ml.errors import DataError
from ml.past import PastRun
from ml.problem import Problem
from ml.records import Prepared, Trained
from ml.scoring import Scorer
from ml.snapshot import NOISE, PROBLEM, ROWS, WEIGHTS
from ml.store import digest
from ml.train import job, machine

CODE = "code"


@dataclass(frozen=True)
class Replay:
    """What came of it.

    Attributes:
        same: whether every prediction on the test rows is the same to the last bit.
        num_differ, largest: how many differ, and by how much at most.
        changed: what is not as it was then: {"tensorflow": ("2.20.0", "2.21.0")}; with nothing changed the bits must agree.
    """

    version: int
    run_key: str
    data_version: int
    num_rows: int
    same: bool
    num_differ: int
    largest: float
    changed: dict[str, tuple[str, str]]


def run(context: Context, version: int) -> Replay:
    """Fit the encoder and the network of a version again, on the rows its run froze, and compare the predictions.

    Nothing is written to the store or to MLflow.

    Raises:
        DataError: there is no such version, its run's files are gone or changed, or its encoder comes out differently.
        TransientError: the store is away, or the training was killed.
    """
    names = past.models(context, patient=True)
    if version not in names:
        known = ", ".join(map(str, names)) or "none"
        raise DataError(f"There is no version {version} of {context.problem.name}. Versions: {known}.")
    made = past.run_of(context, names[version])
    if made.prepared is None or made.trained is None:
        raise DataError(f"The records of run {made.run_key}, which made version {version}, are gone from the store.")
    then = context.of_run(made.run_key)
    problem, rows = _problem(then), _rows(then, made.prepared)
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        asked = _job(then, problem, rows, made.trained, Path(folder))
        apart.run(job.work, asked, watchdog=problem.training.watchdog, told=lambda content: None)
        test = rows.filter(pc.equal(rows["_part"], "test"))
        folders = (judged.model_of(then), asked.model)
        before, after = (Scorer.load(folder, reference=True).score(test) for folder in folders)
    differ = np.abs(before - after)
    return Replay(
        version=version,
        run_key=made.run_key,
        data_version=made.prepared.valid_version,
        num_rows=test.num_rows,
        same=np.array_equal(before, after),
        num_differ=int((differ > 0).reshape(test.num_rows, -1).any(axis=1).sum()),
        largest=float(differ.max()),
        changed=_changed(made, problem.training.threads),
    )


def _problem(then: Context) -> Problem:
    """The problem file as the run understood it."""
    if not then.store.exists(then.name(PROBLEM)):
        raise DataError(f"Run {then.run_key} kept no {PROBLEM}: it was trained before that was recorded, and cannot be replayed.")
    return Problem.model_validate(then.store.read_json(then.name(PROBLEM)))


def _rows(then: Context, prepared: Prepared) -> pa.Table:
    """The frozen rows, to the byte those that the run learned from."""
    if (found := digest(then.file(ROWS))) != prepared.rows_digest:
        raise DataError(
            f"The rows of run {then.run_key} have changed: their digest is {found}, recorded is {prepared.rows_digest}. An "
            "erasure takes people's rows out; otherwise restore the file from a backup."
        )
    return pq.read_table(then.file(ROWS))


def _job(then: Context, problem: Problem, rows: pa.Table, trained: Trained, folder: Path) -> job.Job:
    """The training as it was, with everything but the rows worked out anew."""
    parted = {part: rows.filter(pc.equal(rows["_part"], part)) for part in snapshot.PARTS}
    encoding = features.fit(parted["train"], problem.features, timezone=problem.source.timezone)
    if encoding != snapshot.encoding_of(then):
        raise DataError(f"The encoder of run {then.run_key} comes out differently from the same rows: its code has changed.")
    return job.Job(
        problem=problem,
        run_key=then.run_key,
        encoding=encoding,
        parts=snapshot.encode(parted, encoding, problem),
        rows=parted["test"].slice(0, job.EXPORT_ROWS),
        model=folder / "model",
        scratch=folder,
        inputs="replay",
        champion=_champion(then, trained),
        key=then.store.read_json(then.name(NOISE))["key"] if problem.training.dp.noise else 0,
    )


def _champion(then: Context, trained: Trained) -> job.Champion | None:
    """The weights that the training began with, when it began with some.

    Raises: DataError: they are gone.
    """
    if not trained.began_from:
        return None
    run = then.of_run(trained.began_from)
    return job.Champion(trained.began_from, run.file(WEIGHTS), snapshot.encoding_of(run))


def _changed(made: PastRun, threads: int) -> dict[str, tuple[str, str]]:
    """What the training ran on then and now, where it differs."""
    then = made.trained.made_on if made.trained else {}
    now = machine.about(threads)
    if made.registered and CODE + "_version" in made.registered.made_by:
        then = then | {CODE: made.registered.made_by[CODE + "_version"]}
        now = now | {CODE: register.code_version(Path(__file__).resolve().parent)}
    return {name: (then[name], now.get(name, "unknown")) for name in then if then[name] != now.get(name)}
