"""Rows that keep every critical row rule, and the others with the rules they broke."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.validate.engine import Positions
from ml.validate.judge import Outcome

RULES, RUN_KEY = "_rules", "_run_key"


@dataclass(frozen=True)
class Bad:
    """The rows that broke a critical row rule: `rows` ascending; the rules of the n-th are `broken[starts[n]:starts[n + 1]]`."""

    names: tuple[str, ...]
    rows: Positions
    starts: Positions
    broken: npt.NDArray[np.int32]

    def between(self, first: int, end: int) -> tuple[Positions, pa.ListArray]:
        """The bad rows among positions `first` to `end`, not including it, and the rules each of them broke."""
        low, high = np.searchsorted(self.rows, [first, end])
        rules = pa.array(self.names, pa.string()).take(pa.array(self.broken[self.starts[low] : self.starts[high]]))
        starts = self.starts[low : high + 1] - self.starts[low]
        return self.rows[low:high], pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), rules)


def bad_rows(outcomes: Sequence[Outcome]) -> Bad:
    """Put together what the critical row rules found; the rules of a row stand in the order of the suite."""
    found = [one for one in outcomes if one.result.severity == "critical" and len(one.rows)]
    rows = np.concatenate([one.rows for one in found]) if found else np.array([], np.int64)
    rule = np.repeat(np.arange(len(found), dtype=np.int32), [len(one.rows) for one in found])
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    distinct, starts = np.unique(rows, return_index=True)
    return Bad(tuple(one.result.rule for one in found), distinct, np.append(starts, len(rows)).astype(np.int64), rule[order])


def separate(rows: pa.Table, bad: Bad, *, run_key: str, first: int = 0) -> tuple[pa.Table, pa.Table]:
    """Rows to let in, and rows to set aside with the rules they broke (`_rules`) and the run.

    Args:
        first: position of the first row within the batch that was judged.
    Returns: (valid, quarantined); together exactly `rows`.
    """
    positions, rules = bad.between(first, first + rows.num_rows)
    is_bad = np.zeros(rows.num_rows, dtype=bool)
    is_bad[positions - first] = True
    quarantined = rows.filter(pa.array(is_bad)) if len(positions) else rows.slice(0, 0)
    quarantined = quarantined.append_column(RULES, rules).append_column(
        RUN_KEY, pa.array([run_key] * len(positions), pa.string())
    )
    return rows.filter(pa.array(~is_bad)) if len(positions) else rows, quarantined


def quarantine_schema(schema: pa.Schema) -> pa.Schema:
    """Columns of the rows set aside."""
    return schema.append(pa.field(RULES, pa.list_(pa.string()))).append(pa.field(RUN_KEY, pa.string()))
