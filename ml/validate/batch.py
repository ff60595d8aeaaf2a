"""The rows a run judges: what was ingested, read in pieces, always the same rows in the same order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from ml import privacy
from ml.context import Context
from ml.privacy import Forgotten
from ml.records import Ingested
from ml.tables import DAY, Table
from ml.validate.judge import pieces
from ml.window import Window


@dataclass(frozen=True)
class Batch:
    """Rows of `raw` as of one version, without people who were erased since they were ingested.

    A version names its files in one order and they are read in that order, so positions mean the same row at every reading.
    """

    table: Table
    window: Window
    version: int
    forgotten: Forgotten

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns as they are read."""
        first = next(self.table.batches(self.window, version=self.version), None)
        return first.schema if first is not None else pa.schema(list(self.table.schema().items()))

    @cached_property
    def num_rows_by_day(self) -> dict[str, int]:
        """What has to be found again in `valid` and `quarantine`."""
        if not self.forgotten.tokens:
            return self.table.num_rows(self.window, version=self.version)
        counts: dict[str, int] = {}
        for piece in self.read([DAY]):
            for entry in pc.value_counts(piece[DAY]).to_pylist():
                counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
        return dict(sorted(counts.items()))

    @property
    def num_rows(self) -> int:
        """Rows of all days."""
        return sum(self.num_rows_by_day.values())

    def read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of the rows, in the large pieces that are judged."""
        yield from pieces(self._batches(list(columns)), pa.schema([self.schema.field(name) for name in columns]))

    def read_little(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The same rows in pieces as small as they come from the table, all columns or some."""
        wanted = self.schema.names if columns is None else list(columns)
        for batch in self._batches(wanted):
            yield pa.Table.from_batches([batch])

    def _batches(self, wanted: list[str]) -> Iterator[pa.RecordBatch]:
        subject = [self.forgotten.column] if self.forgotten.tokens else []
        needed = list(dict.fromkeys([*wanted, *(name for name in subject if name in self.schema.names)]))
        for batch in self.table.batches(self.window, columns=needed, version=self.version):
            yield self.forgotten.without(batch).select(wanted)


def open_batch(context: Context, ingested: Ingested) -> Batch:
    """The rows of an ingest."""
    gone = privacy.forgotten(context.problem, context.store)
    return Batch(context.table("raw"), ingested.window, ingested.version, gone)
