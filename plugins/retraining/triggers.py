"""What Airflow's triggerer looks at all day. An event is a hint: what is to be done is judged by the run that it starts."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

log = logging.getLogger(__name__)
AGAIN_S = 600.0  # tell of the same difference again: the run that it started may have failed


class AliasTrigger(BaseEventTrigger):  # type: ignore[misc]  # Airflow comes without types
    """Tells when a hand has moved the alias `champion` in MLflow."""

    def __init__(self, problem: str, seconds: float = 30.0) -> None:
        super().__init__()
        self.problem, self.seconds = problem, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it anew."""
        return "retraining.triggers.AliasTrigger", {"problem": self.problem, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every so many seconds; one event per difference."""
        from retraining import edge

        last, told_at = None, 0.0
        while True:
            found = await asyncio.to_thread(edge.alias_by_hand, self.problem)
            if found and (found != last or time.monotonic() - told_at > AGAIN_S):
                told_at = time.monotonic()
                log.info("%s", found)
                yield TriggerEvent({"found": found})
            last = found
            await asyncio.sleep(self.seconds)
