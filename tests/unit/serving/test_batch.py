"""Rows of several requests share a call, and nobody notices but the clock."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ml.serving.batch import MOST_ROWS, Batcher


class Slow:
    """A model that answers `value` of each row, refuses negative ones, and waits until it is let go."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.go = threading.Event()
        self._at_once = threading.Lock()

    def __call__(self, rows):
        assert self._at_once.acquire(blocking=False), "two calls at once"
        try:
            self.go.wait(20)
            self.calls.append(len(rows))
            if any(row["value"] < 0 for row in rows):
                raise ValueError("negative")
            return np.array([row["value"] for row in rows], dtype=np.float64)
        finally:
            self._at_once.release()


def ask(model: Slow, requests: list[list[float]]) -> list:
    """Ask for all of them at the same time; answers, or what was raised."""

    async def together():
        batcher = Batcher(model)
        with ThreadPoolExecutor(4) as threads:
            asking = [asyncio.create_task(batcher.scores([{"value": v} for v in values], threads)) for values in requests]
            await asyncio.sleep(0)
            model.go.set()
            return await asyncio.gather(*asking, return_exceptions=True)

    return asyncio.run(together())


def test_what_waits_goes_into_one_call_and_each_gets_its_own_answers():
    model = Slow()
    requests = [[float(n), n + 0.5] for n in range(50)]
    assert [answer.tolist() for answer in ask(model, requests)] == requests
    assert sum(model.calls) == 100
    assert len(model.calls) <= 2


def test_a_bad_row_fails_its_own_request_alone():
    answers = ask(Slow(), [[1.0], [-1.0, 2.0], [3.0]])
    assert isinstance(answers[1], ValueError)
    assert [answers[0].tolist(), answers[2].tolist()] == [[1.0], [3.0]]


def test_no_call_is_larger_than_it_may_be_unless_one_request_is():
    model = Slow()
    ask(model, [[1.0] * (MOST_ROWS // 2 + 1)] * 4 + [[2.0] * (MOST_ROWS + 7)])
    assert sorted(model.calls) == [MOST_ROWS // 2 + 1] * 4 + [MOST_ROWS + 7]


def test_a_client_that_goes_away_leaves_the_others_their_answers():
    model = Slow()

    async def leave():
        batcher = Batcher(model)
        with ThreadPoolExecutor(1) as threads:
            gone, stays = (asyncio.create_task(batcher.scores([{"value": 1.0}], threads)) for _ in range(2))
            await asyncio.sleep(0)
            gone.cancel()
            model.go.set()
            assert (await stays).tolist() == [1.0]
            with pytest.raises(asyncio.CancelledError):
                await gone

    asyncio.run(leave())
