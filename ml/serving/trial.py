"""A plan as one process carries it out: which requests the challenger answers, what came of them, whether it may go on."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ml.problem import Guardrails
from ml.requests import Request
from ml.rollout import Rate, place
from ml.rollout.guardrails import FEWEST, FEWEST_SCORES, Counts, Rail, distribution, latency_limit_s, rates
from ml.serving.schemas import Plan

LONGEST = 300  # characters of an error
KEPT = 2_000  # latest scoring times and scores of each version
LARGE = 16  # rows; a larger request's time counts per so many
MORE = 1.5  # so many times the scores before distributions are compared anew
NO, YES = Rate(0, 1), Rate(1, 1)


class Trial:
    """Counts of one rollout in one process; they go on from step to step.

    Every method is quick and may be called from any thread, except `judge`, which takes milliseconds.
    """

    def __init__(self, plan: Plan, rails: Guardrails) -> None:
        self._lock = threading.Lock()
        self._rails = rails
        self._counts = Counts()
        self._answered = {"champion": 0, "challenger": 0, "shadow": 0}
        self._in_step = 0
        self._skipped = 0
        self._seconds = {"champion": deque[float](maxlen=KEPT), "challenger": deque[float](maxlen=KEPT)}
        self._scores = {"champion": deque[float](maxlen=KEPT), "challenger": deque[float](maxlen=KEPT)}
        self._limit_s = np.inf
        self._num_scores, self._look = FEWEST_SCORES, 0
        self._distribution: Rail | None = None
        self._why = ""
        self.plan = plan

    def go_on(self, plan: Plan) -> "Trial":
        """The same rollout with another plan: the next step."""
        with self._lock:
            if plan.step != self.plan.step:
                self._in_step = 0
            self.plan = plan
        return self

    @property
    def looks_on(self) -> bool:
        """Whether the challenger scores what the other version answers, and answers nothing."""
        return self.plan.share == 0

    def meets(self, entity: str) -> bool:
        """Whether the challenger answers this entity."""
        return place(self.plan.salt, entity) < self.plan.share

    def scored(self, arm: str, request: Request, seconds: float) -> None:
        """A version scored a request; `arm` is champion, challenger or shadow."""
        seconds /= max(1.0, len(request.answers) / LARGE)
        score = _number(request.answers[0])
        who = "champion" if arm == "champion" else "challenger"
        with self._lock:
            self._answered[arm] += 1
            self._seconds[who].append(seconds)
            self._scores[who].append(score)
            if who == "challenger":
                self._in_step += 1
                self._counts.errors += NO
                if np.isfinite(self._limit_s) and len(self._seconds[who]) > FEWEST // 3:  # the first ones warm it up
                    self._counts.slow += YES if seconds > self._limit_s else NO

    def failed(self, why: str) -> None:
        """The challenger could not answer what the other version could."""
        with self._lock:
            self._counts.errors += YES
            self._why = " ".join(why.split())[:LONGEST]

    def both(self, champion: Request, challenger: Request) -> None:
        """Both versions scored the same request."""
        flipped = champion.answers[0]["decision"] != challenger.answers[0]["decision"]
        with self._lock:
            self._counts.flips += YES if flipped else NO

    def skipped(self) -> None:
        """A request that one of them should have scored beside the other, and had no time to."""
        with self._lock:
            self._skipped += 1

    def judge(self) -> str:
        """Why the challenger may not go on, in a sentence; empty when it may."""
        with self._lock:
            times = np.array(self._seconds["champion"])
            if len(times) >= FEWEST:
                self._limit_s = latency_limit_s(times, self._rails)
        self._compare_scores()
        broken = [rail for rail in self.rails() if rail.holds is False]
        why = f" The last error: {self._why}" if self._why and broken and broken[0].rule == "errors" else ""
        return f"guardrail {broken[0].rule}: {broken[0].sentence}.{why}" if broken else ""

    def rails(self) -> list[Rail]:
        """Every guardrail as it stands."""
        with self._lock:
            found = rates(self._counts, self._rails)
            return found + ([self._distribution] if self._distribution else [])

    def progress(self) -> dict[str, Any]:
        """What came of it so far, as JSON: requests of this step, by arm, seconds at p50 and p99, guardrails."""
        with self._lock:
            times = {arm: np.array(seconds) for arm, seconds in self._seconds.items() if seconds}
            told = {"requests_in_step": self._in_step, "requests": dict(self._answered), "skipped": self._skipped}
        quantiles = {arm: [round(float(np.quantile(one, q)) * 1000, 3) for q in (0.5, 0.99)] for arm, one in times.items()}
        return told | {"p50_p99_ms": quantiles, "guardrails": [asdict(rail) for rail in self.rails()]}

    def _compare_scores(self) -> None:
        with self._lock:
            scores = {arm: np.array(one) for arm, one in self._scores.items()}
            total = self._answered["challenger"] + self._answered["shadow"]
            if total < self._num_scores or len(scores["champion"]) < FEWEST_SCORES:
                return
        found = distribution(scores["champion"], scores["challenger"], self._rails, look=self._look)
        with self._lock:
            self._distribution, self._look, self._num_scores = found, self._look + 1, int(total * MORE)


def _number(answer: Mapping[str, Any]) -> float:
    """The score; of several outputs without a largest one the first."""
    score = answer["score"]
    return float(score if score is not None else next(iter(answer["scores"].values())))
