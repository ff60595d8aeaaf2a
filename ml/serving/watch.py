"""Who watches the guardrails: a thread that judges every trial several times a second and ends the one that breaks one."""

import logging
import threading
from collections.abc import Mapping

from ml.serving.live import LiveModel

logger = logging.getLogger("uvicorn.error")
EVERY_S = 0.25


class Watch:
    """Judges the trials of all problems; a thread of its own, so that neither a request nor a model that loads waits."""

    def __init__(self, live: Mapping[str, LiveModel]) -> None:
        self._live = live
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guardrails", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            for live in list(self._live.values()):
                try:
                    look(live)
                except Exception:  # a guardrail that cannot be judged must not end the watch over the others
                    logger.exception("the guardrails of %s cannot be judged", live.problem.name)


def look(live: LiveModel) -> None:
    """End the trial of a problem when it breaks a guardrail, here or in another worker."""
    trial = live.state.trial
    if trial is not None and (why := live.stops.why(trial.plan) or trial.judge()):
        live.stop(trial, why)
