"""From which version of `raw` the rows of a day in `valid` came, by what the runs recorded and the table's log says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from ml.past import PastRun
from ml.tables import Table


@dataclass
class Origins:
    """Every version of `raw` is looked at once; no rows are read."""

    raw: Table
    runs: Sequence[PastRun]
    _files: dict[int, dict[date, frozenset[str]]] = field(default_factory=dict)

    def of(self, run: PastRun, day: date) -> tuple[int, ...]:
        """Versions of `raw` that the rows of a day in the run's snapshot were validated from; none when no record tells.

        It is the last validation of that day that the snapshot can have seen. There are several when they came to the same
        result. Rows that changed without one (released from quarantine, erased) count as part of the one before.
        """
        if run.prepared is None:
            return ()
        seen = [found for one in self.runs if (found := _validated(one, day)) and found[0] <= run.prepared.valid_version]
        last = max((valid for valid, _ in seen), default=-1)
        return tuple(sorted({raw for valid, raw in seen if valid == last}))

    def carried(self, run: PastRun, day: date, version: int) -> bool:
        """Whether the run's rows of a day are those that `raw` held as of a version; True when nobody can say."""
        origins = self.of(run, day)
        batch = self._batch(version, day)
        return not origins or any(self._batch(origin, day) == batch for origin in origins)

    @cached_property
    def _erasures(self) -> list[int]:
        return [commit.version for commit in self.raw.history() if commit.note.get("stage") == "erase"]

    def _batch(self, version: int, day: date) -> frozenset[str]:
        """The files a day came in with: an erasure takes rows of a person out and leaves the batch what it was."""
        for erased in sorted(self._erasures, reverse=True):
            if erased <= version and self._day(erased, day) == self._day(version, day):
                version = erased - 1
        return self._day(version, day)

    def _day(self, version: int, day: date) -> frozenset[str]:
        if version not in self._files:
            self._files[version] = self.raw.files(version)
        return self._files[version].get(day, frozenset())


def _validated(run: PastRun, day: date) -> tuple[int, int] | None:
    """The versions of `valid` and `raw` with which a run validated a day, None when it did not."""
    if run.validated is None or run.ingested is None or not run.validated.start <= day < run.validated.end:
        return None
    return run.validated.version, run.ingested.version
