"""CSV and JSON lines, plain or packed, always UTF-8."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from ml.errors import DataError
from ml.source.chunk import FAMILY, Chunk, Column, View
from ml.source.places import File
from ml.source.typed import UnfitError

BLOCKS = (1 << 20, 16 << 20)  # bytes of CSV parsed at a time: the first unless a row is longer; the reader may be 32 ahead
PIECE = 8 << 20  # bytes of a file that are asked for at a time
HEAD = 64 << 10  # bytes of a file that are asked for when only its beginning is wanted
LONGEST = 64 << 20  # characters of a JSON line
ROWS = 65_536  # of CSV that are made typed at a time
OTHERS = (";", "\t", "|")  # what some programs separate fields with
LINES = 20_000  # of JSON in memory
LOOKED_AT = 1_000  # JSON lines that tell the types
NAMES = {str: "text", bool: "boolean", int: "number", float: "number", dict: "object", list: "array", type(None): "null"}
TAKES: dict[str, tuple[type, ...]] = {  # what a JSON value of each declared type may be
    "number": (int, float),
    "boolean": (bool,),
    "datetime": (str,),
    "text": (str,),
    "zip": (str,),
}


@dataclass(frozen=True)
class Csv:
    """Fields separated by commas, quoted as RFC 4180 says; names in the first line. An unquoted empty field is missing."""

    file: File
    packing: str | None
    has_types = False
    may_leave_out = False

    def columns(self, kinds: Mapping[str, str]) -> dict[str, Column]:
        """Names of the header. A CSV file knows no types: each column is what it is declared to be, or text."""
        names = self._header()
        if len(names) == 1 and (others := [mark for mark in OTHERS if mark in names[0]]):
            raise DataError(f"{self.file.name} has fields separated by {others[0]!r}. Export it with commas.")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"{self.file.name} has two columns {twice[0]!r}. Give each column of the file its own name.")
        families = [FAMILY.get(kinds.get(name, "text"), "text") for name in names]
        return {name: Column(family, family) for name, family in zip(names, families, strict=True)}

    def chunks(self, view: View) -> Iterator[Chunk]:
        """Rows as text."""
        names, done = list(self.columns(view.kinds)), 2  # the number of the next row; the header is row 1
        for block in BLOCKS:
            try:
                for first, rows in self._parsed([name for name in names if name in view.kinds], block):
                    fresh = rows.slice(max(done - first, 0))
                    done = max(done, first + rows.num_rows)
                    if fresh.num_rows:
                        yield Chunk(fresh, names, done - fresh.num_rows + np.arange(fresh.num_rows))
                return
            except pa.ArrowInvalid as error:
                if "straddl" not in str(error) or block == BLOCKS[-1]:
                    raise

    def _parsed(self, wanted: list[str], block: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Rows with the number of their first."""
        options = pa.csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        with _Stream(self.file, self.packing, PIECE) as stream:
            reader = pa.csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=pa.csv.ReadOptions(use_threads=False, block_size=block),  # with threads errors tell no row
                parse_options=pa.csv.ParseOptions(newlines_in_values=True),
                convert_options=options,
            )
            first = 2
            for batch in reader:
                for start in range(0, batch.num_rows, ROWS):
                    yield first + start, batch.slice(start, ROWS)
                first += batch.num_rows
            if stream.num_quotes % 2:
                raise DataError(
                    f"{self.file.name} has {stream.num_quotes} quote characters, an odd number: a field that begins with one is "
                    "never closed and swallows the rows after it. Close it; inside a quoted field a quote is written twice."
                )

    def _header(self) -> list[str]:
        with _lines(self.file, self.packing, piece=HEAD, newline="") as lines:
            return next(csv.reader(lines), [])


@dataclass(frozen=True)
class JsonLines:
    """One JSON object per line; a name that a line does not have is missing there."""

    file: File
    packing: str | None
    has_types = True
    may_leave_out = True

    def columns(self, kinds: Mapping[str, str]) -> dict[str, Column]:
        """Names and JSON types in the first lines; a text that is declared to be a time is one."""
        found: dict[str, set[str]] = {}
        for number, (_, row) in enumerate(self._rows(HEAD)):
            for name, value in row.items():
                found.setdefault(name, set()).add(NAMES[type(value)])
            if number == LOOKED_AT:
                break
        told = {name: " | ".join(sorted(types - {"null"})) or "null" for name, types in found.items()}
        times = {name for name, kind in kinds.items() if kind == "datetime" and told.get(name) == "text"}
        return {name: Column("datetime", "datetime") if name in times else Column(type_, type_) for name, type_ in told.items()}

    def chunks(self, view: View) -> Iterator[Chunk]:
        """Rows with numbers, booleans and texts; a category that is written as a number or boolean is text."""
        rows: list[dict[str, Any]] = []
        lines: list[int] = []
        for line, row in self._rows():
            rows.append(row)
            lines.append(line)
            if len(rows) == LINES:
                yield self._chunk(rows, lines, view)
                rows, lines = [], []
        yield self._chunk(rows, lines, view)

    def _rows(self, piece: int = PIECE) -> Iterator[tuple[int, dict[str, Any]]]:
        with _lines(self.file, self.packing, piece=piece, newline="\n") as lines:
            number = 0
            while line := lines.readline(LONGEST):
                number += 1
                if line.strip():
                    yield number, self._row(line, number)

    def _row(self, line: str, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"Line {number} of {self.file.name} is no JSON ({error}). Write one object per line.") from error
        if not isinstance(row, dict):
            found = f"is {NAMES[type(row)]}, not a JSON object"
            raise DataError(f"Line {number} of {self.file.name} {found}. Write one object per line.")
        return row

    def _chunk(self, rows: list[dict[str, Any]], lines: list[int], view: View) -> Chunk:
        arrays = {}
        for name, kind in view.kinds.items():
            try:
                arrays[name] = _array([row.get(name) for row in rows], kind)
            except UnfitError as error:
                where, told = f"Line {lines[error.position]} of {self.file.name}", error.told(hidden=name in view.hidden)
                raise DataError(f"{where}: {name} {told}. Mend the file.") from error
        return Chunk(pa.RecordBatch.from_pydict(arrays), view.kinds, np.array(lines, np.int64), "line")


def _array(values: list[Any], kind: str) -> pa.Array:
    takes = TAKES.get(kind, (str, int, float, bool))
    strange = next((i for i, value in enumerate(values) if value is not None and type(value) not in takes), None)
    if strange is not None:
        raise UnfitError(strange, json.dumps(values[strange]), " or ".join(sorted({NAMES[take] for take in takes})))
    if kind == "number":
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kind == "boolean":
        return pa.array(values, pa.bool_())
    return pa.array([value if isinstance(value, str) or value is None else _as_text(value) for value in values], pa.string())


def _as_text(value: float | bool) -> str:
    """As a database would write it: true, 12, 1.5."""
    return str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")


def _lines(file: File, packing: str | None, *, piece: int, newline: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(_Stream(file, packing, piece)), encoding="utf-8-sig", newline=newline)


class _Stream(io.RawIOBase):
    """The unpacked bytes of a file; counts the quote characters that went by."""

    def __init__(self, file: File, packing: str | None, piece: int) -> None:
        self._file = file.open(piece)
        opened = pa.PythonFile(self._file, mode="r")
        self._bytes = pa.CompressedInputStream(opened, packing) if packing else opened
        self.num_quotes = 0

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._bytes.read(len(buffer))
        self.num_quotes += piece.count(b'"')
        buffer[: len(piece)] = piece
        return len(piece)
