"""A change reaches every worker that lives, or none; here two workers are two objects on one folder."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ml.errors import RefusedError, TransientError
from ml.serving.moves import Moves
from ml.serving.schemas import Version, Wanted
from ml.serving.shared import Shared, folder_of
from ml.settings import read

NOW = datetime(2013, 1, 5, tzinfo=UTC)


def version(number: int) -> Version:
    return Version(version=number, run_key=f"run-{number}", model_digest=f"{number:064x}")


@dataclass
class Live:
    """What Moves needs of a live model; loads nothing, and refuses `never` when another worker asks for it."""

    never: int = 0
    moves: int = 0
    state: Any = None
    copies: Any = field(default_factory=lambda: SimpleNamespace(forget=lambda kept: list(kept)))

    def serve(self, number: int) -> None:
        self.moves += 1
        current = SimpleNamespace(origin="deploy", since=NOW) if number else None
        self.state = SimpleNamespace(number=number, current=current, wanted=Wanted(version=version(number) if number else None))

    def take_over(self, wanted: Wanted, origin: str) -> None:
        if wanted.version and wanted.version.version == self.never:
            raise RefusedError("no room")
        self.serve(wanted.version.version if wanted.version else 0)


class Worker:
    """One worker: what it serves, and a thread that follows the others."""

    def __init__(self, folder, slot: int, never: int = 0) -> None:
        self.live = Live(never)
        self.live.serve(0)
        self.moves = Moves({"flights": self.live}, Shared(folder, slot=slot, generation="g"), lambda name: False)  # type: ignore[dict-item]
        self.moves.shared.take()

    @property
    def number(self) -> int:
        return int(self.live.state.number)

    def change(self, number: int, **options: Any) -> int | None:
        return self.moves.change("flights", lambda _: self.live.serve(number), **options)

    @contextmanager
    def following(self) -> Iterator[None]:
        ended = threading.Event()

        def follow() -> None:
            while not ended.wait(0.002):
                self.moves.follow()

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def test_a_change_is_done_when_every_worker_has_done_it(tmp_path):
    first, second = Worker(tmp_path, 0), Worker(tmp_path, 1)
    with first.following(), second.following():
        for number in range(1, 30):
            (first if number % 2 else second).change(number)
            assert (first.number, second.number) == (number, number)


def test_what_one_worker_cannot_do_is_taken_back_by_all(tmp_path):
    first, second = Worker(tmp_path, 0), Worker(tmp_path, 1, never=2)
    with second.following():
        first.change(1)
        with pytest.raises(RefusedError, match=r"worker 1: no room. All workers go on as before"):
            first.change(2)
        assert first.number == 1
        assert first.moves.shared.read("flights").wanted.version == version(1)
        first.change(3)
        assert (first.number, second.number) == (3, 3)


def test_what_fails_here_reaches_nobody(tmp_path):
    first, second = Worker(tmp_path, 0), Worker(tmp_path, 1)

    def fail(_: Any) -> None:
        raise RefusedError("broken")

    with pytest.raises(RefusedError, match="broken"):
        first.moves.change("flights", fail)
    second.moves.follow()
    assert (second.number, first.moves.shared.read("flights").sequence) == (0, 0)


def test_a_move_that_cannot_be_followed_yet_is_tried_again(tmp_path):
    worker = Worker(tmp_path, 0)
    assert worker.change(1, entry=5) == 1
    assert worker.moves.change("flights", lambda _: False, entry=6) is None
    assert worker.moves.shared.read("flights").entry == 5
    assert worker.change(2, entry=6) == 2
    assert (worker.number, worker.moves.shared.read("flights").entry) == (2, 6)


def test_a_change_that_somebody_was_faster_than_is_left(tmp_path):
    worker = Worker(tmp_path, 0)
    assert worker.change(1) == 1
    assert worker.change(2, since=0) is None
    assert worker.number == 1
    assert worker.change(2, since=1) == 2


def test_a_worker_that_is_dead_or_of_an_earlier_start_is_not_waited_for(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    Shared(tmp_path, slot=7, generation="earlier").take()
    file = tmp_path / "workers" / "1.json"
    Worker(tmp_path, 1)
    file.write_text(file.read_text().replace(str(os.getpid()), str(gone.pid)))
    assert Worker(tmp_path, 0).change(1) == 1


def test_a_worker_that_does_not_answer_is_told(tmp_path):
    first = Worker(tmp_path, 0)
    Worker(tmp_path, 1)
    with pytest.raises(TransientError, match=r"Worker 1 .* has not taken flights over"):
        first.moves.shared.wait("flights", 1, patience_s=0.1)


def test_a_worker_that_comes_later_does_what_the_others_do_and_an_emptied_folder_stops_nothing(tmp_path):
    first = Worker(tmp_path, 0)
    first.change(1)
    late = Worker(tmp_path, 1)
    late.moves.follow()
    assert late.number == 1
    for file in (tmp_path / "wanted").iterdir():
        file.unlink()
    with late.following():
        first.change(2)
        assert late.number == 2


def test_one_worker_leads_until_it_retires(tmp_path):
    first, second = (Shared(tmp_path, slot=slot) for slot in (0, 1))
    assert [first.lead(), second.lead(), first.lead()] == [True, False, True]
    first.retire()
    assert second.lead()


def test_two_services_never_share_a_folder():
    ours = read({})
    folders = {folder_of(ours, "127.0.0.1:8000"), folder_of(ours, "127.0.0.1:8001")}
    folders.add(folder_of(read({"EVERGREEN_STORE": "s3://other"}), "127.0.0.1:8000"))
    assert len(folders) == 3
