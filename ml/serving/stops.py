"""Which trial of a problem was ended by a guardrail: a file of the service's folder, so that every worker knows at once,
whatever else is being changed, and a worker that is started anew knows too.
"""

from pathlib import Path

from ml.errors import EvergreenError, RefusedError
from ml.serving.schemas import Plan, Stopped
from ml.store import Store


class Stops:
    """The last trial of one problem that was stopped.

    Args:
        folder: of the service.
    """

    def __init__(self, folder: Path, problem: str) -> None:
        self._files = Store(folder)
        self._name = f"stopped/{problem}.json"
        self._path = folder / self._name
        self._stamp = 0
        self._last: Stopped | None = None

    @property
    def last(self) -> Stopped | None:
        """As the file says now; cheap to ask all the time."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._last, self._stamp = Stopped.model_validate_json(self._path.read_bytes()), stamp
        except (OSError, ValueError):
            return self._last
        return self._last

    def why(self, plan: Plan) -> str:
        """Why a plan may not be carried out; empty when it may."""
        last = self.last
        return last.why if last is not None and last.plan == plan.id else ""

    def demand_not(self, plan: Plan) -> None:
        """Raises: RefusedError: the plan was stopped."""
        if why := self.why(plan):
            raise RefusedError(f"The service stopped version {plan.challenger.version} by itself: {why}")

    def note(self, stopped: Stopped) -> bool:
        """Know it in this worker; False when it was known already."""
        first = not (self._last and self._last.plan == stopped.plan)
        self._last = stopped if first else self._last
        return first

    def write(self) -> str:
        """Tell everybody what is known here; returns why that cannot be written down, empty when it was."""
        try:
            self._files.write(self._name, self._last.model_dump_json().encode() if self._last else b"")
        except (EvergreenError, OSError) as error:
            return f"That a trial was stopped could not be written down: {error}"
        return ""
