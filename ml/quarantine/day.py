"""One day of the tables, parted anew: pure, so that what may move and what must not is said in one place."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.errors import DataError
from ml.quarantine.held import RULES, RUN, Held, Mask
from ml.tables import DAY, digest

Hashes = npt.NDArray[np.uint64]
Rules = list[str]


@dataclass(frozen=True)
class Parted:
    """What the day's tables are to hold, and what came of the chosen rows, in their order."""

    valid: pa.Table
    quarantined: pa.Table
    outcomes: tuple[str, ...]
    rules: tuple[Rules, ...]  # that each chosen row breaks now


@dataclass(frozen=True)
class Day:
    """A day as the tables hold it. Rows are compared by all columns of `raw`, which is what was ingested."""

    raw: pa.Table
    valid: pa.Table
    before: Held  # the quarantine
    chosen: Held  # those of its rows that are to be judged again

    @cached_property
    def in_raw(self) -> Hashes:
        """A hash per row."""
        return self._hashes(self.raw)

    @cached_property
    def in_before(self) -> Hashes:
        """A hash per row."""
        return self._hashes(self.before.rows)

    @cached_property
    def in_chosen(self) -> Hashes:
        """A hash per row."""
        return self._hashes(self.chosen.rows)

    @cached_property
    def waiting(self) -> Mask:
        """Rows of raw that are not in valid."""
        return _beyond(self.in_raw, self._hashes(self.valid))

    @cached_property
    def mended(self) -> Mask:
        """Rows of raw that nobody has judged, with the key of a chosen row that is no longer there: its new version."""
        here = np.isin(self.in_chosen, self.in_raw)
        gone = {key for key, there in zip(self.chosen.keys, here, strict=True) if not there}
        return np.asarray(self._unknown & np.array([key in gone for key in self._keys], dtype=bool))

    def part(self, broken: list[Rules]) -> Parted:
        """Sort the rows; only chosen ones may change sides, and every row of raw is in one of the two tables.

        Args:
            broken: critical rules that each row of raw breaks now.
        Raises: DataError: rows were ingested, or changed, that no validation has seen.
        """
        self._demand_validated()
        meant = self.waiting & (np.isin(self.in_raw, self.in_chosen) | self.mended)
        bad = np.array([bool(rules) for rules in broken], dtype=bool)
        stays = self.waiting & ~(meant & ~bad)
        quarantined = self.raw.filter(pa.array(stays))
        reasons = [self._reasons(place, broken[place] if meant[place] else None) for place in np.flatnonzero(stays).tolist()]
        rules, runs = [list(one) for one in zip(*reasons, strict=True)] or [[], []]
        quarantined = quarantined.append_column(RULES, pa.array(rules, pa.list_(pa.string())))
        quarantined = quarantined.append_column(RUN, pa.array(runs, pa.string()))
        now = self._now(broken)
        told = tuple("gone from the source" if one is None else "still bad" if one else "released" for one in now)
        return Parted(self.raw.filter(pa.array(~stays)), quarantined, told, tuple(one or [] for one in now))

    def _demand_validated(self) -> None:
        unseen = int((self._unknown & ~self.mended).sum())
        gone = int(_beyond(self._hashes(self.valid), self.in_raw).sum())
        gone += int((_beyond(self.in_before, self.in_raw) & ~np.isin(self.in_before, self.in_chosen)).sum())
        if unseen or gone:
            day = next(iter([*self.raw[DAY].to_pylist(), *self.before.days]), "this day")
            raise DataError(
                f"`raw` was read anew for {day} and not validated since: {unseen} rows are new there, {gone} have changed or "
                "gone. Validate the day first (`python -m ml run ingest` and `validate` with --window, or clear validate), then "
                "release what is left."
            )

    @cached_property
    def _unknown(self) -> Mask:
        """Rows of raw that are in no other table."""
        known = np.concatenate([self.in_before, self.in_chosen])
        return np.asarray(self.waiting & ~np.isin(self.in_raw, known))

    @cached_property
    def _keys(self) -> list[str]:
        return [str(key) for key in self.raw[self.before.key].to_pylist()]

    @cached_property
    def _places(self) -> dict[int, int]:
        """Where a row stands in the quarantine, by hash."""
        return {one: place for place, one in enumerate(self.in_before.tolist())}

    @cached_property
    def _places_of_keys(self) -> dict[str, int]:
        return {key: place for place, key in enumerate(self.before.keys)}

    def _reasons(self, place: int, rules: Rules | None) -> tuple[Rules, str]:
        """The rules a row of raw breaks, those it had when it was not judged again, and the run that set it aside."""
        was = self._places.get(int(self.in_raw[place]), self._places_of_keys.get(self._keys[place]))
        run = "" if was is None else str(self.before.rows[RUN][was])
        return (rules or [] if was is None or rules is not None else self.before.rules[was]), run

    def _now(self, broken: list[Rules]) -> list[Rules | None]:
        """What each chosen row, or its new version, breaks now; None when the source has neither."""
        judged = dict(zip(self.in_raw.tolist(), broken, strict=True))
        renewed = {key: rules for key, rules, new in zip(self._keys, broken, self.mended, strict=True) if new}
        return [judged.get(one, renewed.get(key)) for one, key in zip(self.in_chosen.tolist(), self.chosen.keys, strict=True)]

    def _hashes(self, rows: pa.Table) -> Hashes:
        """A column that the table does not have is missing in all its rows."""
        columns = sorted(name for name in self.raw.column_names if name != DAY)
        types = {name: self.raw.schema.field(name).type for name in columns}
        found = [
            rows[name].cast(types[name]) if name in rows.column_names else pa.nulls(rows.num_rows, types[name])
            for name in columns
        ]
        batches = pa.table(found, names=columns).combine_chunks().to_batches()
        return np.concatenate([np.array([], np.uint64), *(digest.row_hashes(batch, columns) for batch in batches)])


def _beyond(ones: Hashes, others: Hashes) -> Mask:
    """Which of `ones` occur more often than among `others`; of equal rows the later ones."""
    left = Counter(others.tolist())
    beyond = np.zeros(len(ones), dtype=bool)
    for place, one in enumerate(ones.tolist()):
        left[one] -= 1
        beyond[place] = left[one] < 0
    return beyond
