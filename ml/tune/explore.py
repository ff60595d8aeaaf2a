"""The loop: ask a plan what to try, try it, keep what came of it; what was tried before a kill is not tried again."""

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

from ml.errors import EvergreenError
from ml.records import FoldScores
from ml.tune.search import Plan
from ml.tune.trial import Trial

log = logging.getLogger(__name__)
Kind = Literal["present", "ladder", "search"]
Evaluate = Callable[[dict[str, Any], float], FoldScores]  # settings, seconds left


class Exploration:
    """Trials under a budget. A plan answers alike when told alike, so after a kill it is walked again with the kept trials."""

    def __init__(self, kept: list[Trial], *, seconds: float, keep: Callable[[list[Trial]], None]) -> None:
        self.trials: list[Trial] = []
        self._kept, self._seconds, self._keep = kept, seconds, keep

    def walk(self, kind: Kind, plan: Plan, evaluate: Evaluate, *, sign: int, most: int | None = None) -> None:
        """Follow a plan to its end, to the end of the budget, or until there are `most` trials.

        Args:
            sign: +1 where more of the metric is better, -1 where less is.
        """
        values, end = next(plan, None), float("inf") if most is None else len(self.trials) + most
        while values is not None and self._rest() > 0 and len(self.trials) < end:
            trial = self._again(kind, values) or self._try(kind, values, evaluate)
            self.trials.append(trial)
            try:
                values = plan.send(sign * trial.scores.value if trial.scores else None)
            except StopIteration:
                values = None

    def _rest(self) -> float:
        return self._seconds - sum(trial.seconds for trial in self.trials)

    def _again(self, kind: Kind, values: dict[str, Any]) -> Trial | None:
        """The kept trial of this place, if it tried the same."""
        place = len(self.trials)
        kept = self._kept[place] if place < len(self._kept) else None
        return kept if kept and (kept.kind, kept.values) == (kind, values) else None

    def _try(self, kind: Kind, values: dict[str, Any], evaluate: Evaluate) -> Trial:
        began, number = time.monotonic(), len(self.trials)
        scores, failure = None, ""
        try:
            scores = evaluate(values, self._rest())
        except (EvergreenError, TimeoutError) as error:
            failure = str(error)
        seconds = round(time.monotonic() - began, 2)
        trial = Trial(number=number, kind=kind, values=values, scores=scores, failure=failure, seconds=seconds)
        told = f"{scores.metric} {scores.value:.4f}" if scores else failure
        log.info("tune: trial %d (%s) %s: %s", number, kind, values, told)
        self._keep([*self.trials, trial])
        return trial


def present() -> Plan:
    """The settings that hold now."""
    yield {}
