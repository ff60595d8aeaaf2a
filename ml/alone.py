"""One model alone in a process: how long from the start to the first answer, how long per answer, how much memory.

What a service does with checked rows, without its HTTP: `Scorer` scores them and decides. A process that imports TensorFlow
costs seconds, so models that all need it are forks of a process that has it in memory; others start from nothing, which is what
a service does.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from ml import apart
from ml.errors import DataError, TransientError
from ml.exports import published
from ml.scoring import Scorer

Row = dict[str, Any]
Answer = dict[str, Any]
PATIENCE_S = 120.0  # for one reply: a large model loads, or thousands of rows are answered, on a busy machine
MEGABYTE = 1_000_000
LITERT, SAVEDMODEL = "litert", "savedmodel"
PACKAGE = Path(__file__).resolve().parent.parent


class Alone:
    """A model in its process. `start_s` is the time from the process's start to its first answer."""

    def __init__(self, here: Connection, pid: int, began: float) -> None:
        self._here = here
        self.pid = pid
        self.core = str(self._heard("a first answer"))
        self.start_s = time.perf_counter() - began

    def keep(self, rows: Sequence[Row]) -> None:
        """The rows that later questions are about, as JSON has them, with exactly the model's columns."""
        self._ask("keep", list(rows))

    def answers(self) -> list[Answer | str]:
        """What the model says to every row: `score`, `decision` and, with several outputs, `scores`; or why it refuses."""
        return list(self._ask("answers"))

    def time(self, size: int, starts: Sequence[int]) -> list[float]:
        """Milliseconds of each answer to `size` rows, beginning with the rows at `starts`."""
        return list(self._ask("time", size, list(starts)))

    def memory_mb(self) -> float:
        """Resident memory of the process."""
        return float(self._ask("memory_mb"))

    def _ask(self, *question: Any) -> Any:
        try:
            self._here.send(question)
        except BrokenPipeError:
            raise _died() from None
        return self._heard(question[0])

    def _heard(self, what: str) -> Any:
        """Raises: DataError: the model could not. TransientError: its process died or stood still."""
        try:
            if not self._here.poll(PATIENCE_S):
                raise TransientError(f"A model alone in its process did not give {what} within {PATIENCE_S:.0f} s.")
            kind, content = self._here.recv()
        except (EOFError, ConnectionResetError):
            raise _died() from None
        if kind == "failed":
            raise DataError(f"A model could not be rehearsed: {content}")
        return content


def _died() -> TransientError:
    return TransientError("A model's process died in the rehearsal, perhaps for want of memory. It is tried again.")


def can_start_from_nothing(folders: Iterable[Path]) -> bool:
    """Whether at least one of some models runs without TensorFlow, so that forks would hide what the others cost."""
    return any(LITERT in published(folder) for folder in folders)


@contextmanager
def alone(folder: Path, *, fresh: bool) -> Iterator[Alone]:
    """A model folder in a process of its own, until the block ends.

    Args:
        fresh: start from nothing; else fork from a process that has TensorFlow in memory.
    Raises: DataError: the folder holds no whole model. TransientError: the process died.
    """
    here, there = Pipe()
    began = time.perf_counter()
    process = (_started if fresh else _forked)(folder, here, there)
    there.close()
    try:
        yield Alone(here, process.pid, began)
    finally:
        process.kill()
        (process.wait if fresh else process.join)()
        here.close()


def _started(folder: Path, _here: Connection, there: Connection) -> Any:
    path = os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH", ""))))
    command = [sys.executable, "-m", "ml.alone", str(there.fileno()), str(folder)]
    return subprocess.Popen(command, pass_fds=[there.fileno()], env=os.environ | {"PYTHONPATH": path})


def _forked(folder: Path, here: Connection, there: Connection) -> Any:
    context = apart.context()
    mine = here if context.get_start_method() == "fork" else None
    process = context.Process(target=serve, args=(there, folder, mine), daemon=True, name="rehearsal")  # type: ignore[attr-defined]
    process.start()
    return process


def serve(there: Connection, folder: Path, here: Connection | None = None) -> None:
    """Load the model, say which core it has, then answer questions until nobody is there to ask."""
    if here is not None:
        here.close()  # the fork's copy; with it open, the end of the first process would go unseen
    try:
        scorer = Scorer.load(folder)
        said: Any = ("core", SAVEDMODEL if scorer.core is None else LITERT)
    except DataError as error:
        scorer, said = None, ("failed", str(error))
    rows: list[Row] = []
    while True:
        try:
            there.send(said)
            question, *about = there.recv()
        except (EOFError, OSError):
            return
        if question == "keep":
            rows, said = about[0], ("kept", None)
        elif scorer is not None:
            said = (question, _QUESTIONS[question](scorer, rows, *about))


def _answers(scorer: Scorer, rows: Sequence[Row]) -> list[Answer | str]:
    """All at once; where some row is refused the rows are halved until it is alone."""
    try:
        scores = scorer.score(scorer.table(rows))
        if np.isfinite(scores).all():
            return list(scorer.answers(scores))
        why = "the model gives no number for it"
    except DataError as error:
        why = str(error).split(". Received:")[0].removeprefix("Row 0, ")  # what stands in a row is not for records
    except (ValueError, OverflowError):
        why = "a value lies outside what the model can take"
    if len(rows) == 1:
        return [why]
    middle = len(rows) // 2
    return [*_answers(scorer, rows[:middle]), *_answers(scorer, rows[middle:])]


def _time(scorer: Scorer, rows: Sequence[Row], size: int, starts: Sequence[int]) -> list[float]:
    taken = []
    for start in starts:
        asked = rows[start : start + size]
        began = time.perf_counter()
        scorer.answers(scorer.score_rows(asked))
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def _memory_mb(_scorer: Scorer, _rows: Sequence[Row]) -> float:
    return float(psutil.Process().memory_info().rss / MEGABYTE)


_QUESTIONS: dict[str, Any] = {"answers": _answers, "time": _time, "memory_mb": _memory_mb}


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), Path(sys.argv[2]))
