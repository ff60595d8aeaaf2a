"""Complaints as the Bureau publishes them: a CSV with its column names."""

import re
import tempfile
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from ml.errors import ConfigError, DataError, TransientError

# Our name for each of the Bureau's columns. Without the needed ones there is nothing to learn from.
NEEDED = {
    "complaint_id": "Complaint ID",
    "date_received": "Date received",
    "product": "Product",
    "issue": "Issue",
    "company": "Company",
    "submitted_via": "Submitted via",
    "company_response": "Company response to consumer",
    "narrative": "Consumer complaint narrative",
    "disputed": "Consumer disputed?",
}
OPTIONAL = {
    "date_sent_to_company": "Date sent to company",
    "state": "State",
    "zip_code": "ZIP code",
    "consumer_consent": "Consumer consent provided?",
    "timely_response": "Timely response?",
}
ORDER = (
    *("complaint_id", "date_received", "date_sent_to_company", "product", "issue", "state", "zip_code", "company"),
    *("company_response", "consumer_consent", "submitted_via", "timely_response", "narrative", "disputed"),
)
ANSWERS = {"Yes": True, "No": False, "N/A": None}
DATES = "2016-02-01 or 02/01/2016"


def read(path: Path) -> pa.Table:
    """Rows of a CSV (plain, .gz or .zip), columns as in `ORDER`; a blank field is null.

    Raises:
        ConfigError: no such file.
        DataError: no CSV, a needed column is missing, a date or an answer cannot be read.
    """
    if not path.is_file():
        raise ConfigError(f"There are no complaints at {path}. Give a folder with the extracts, a CSV file, or its address.")
    if path.suffix == ".zip":
        return _unzipped(path)
    header = _header(path)
    missing = [theirs for theirs in NEEDED.values() if theirs not in header]
    if missing:
        raise DataError(
            f"{path.name} has no column {missing[0]!r}; it has {', '.join(header)}. "
            f"Needed are the Bureau's names: {', '.join(NEEDED.values())}. Rename or add the column. Nothing was loaded."
        )
    theirs = {ours: name for ours, name in (NEEDED | OPTIONAL).items() if name in header}
    text = _text(path, list(theirs.values()))
    return pa.table({ours: _column(text, ours, theirs.get(ours), path.name) for ours in ORDER})


def download(url: str) -> pa.Table:
    """Rows of a CSV behind an address.

    Raises: ConfigError: the address is wrong. TransientError: it does not answer. DataError: as `read`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(urlsplit(url).path).name or "complaints.csv")
        try:
            with httpx.stream("GET", url, follow_redirects=True, timeout=60) as answer, path.open("wb") as file:
                answer.raise_for_status()
                for chunk in answer.iter_bytes():
                    file.write(chunk)
        except httpx.HTTPStatusError as error:
            kind = TransientError if error.response.status_code >= 500 else ConfigError
            raise kind(f"{url} answered {error.response.status_code}; expected a CSV. Check the address.") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise TransientError(
                f"{url} could not be read: {error}. Check the address and the network, then try again."
            ) from error
        return read(path)


def _unzipped(path: Path) -> pa.Table:
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        names = [name for name in archive.namelist() if name.endswith(".csv")]
        if len(names) != 1:
            raise DataError(f"{path.name} holds {len(names)} CSV files, expected one. Unpack it and name the file.")
        return read(Path(archive.extract(names[0], folder)))


def _header(path: Path) -> list[str]:
    return [str(name) for name in _csv(path, lambda: pacsv.open_csv(path, parse_options=PARSE)).schema.names]


def _text(path: Path, columns: list[str]) -> pa.Table:
    """Every field as trimmed text; blank is null."""
    convert = pacsv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    raw = _csv(path, lambda: pacsv.read_csv(path, parse_options=PARSE, convert_options=convert))
    trimmed = {name: pc.utf8_trim_whitespace(raw[name]) for name in columns}
    return pa.table({name: pc.if_else(pc.equal(column, ""), None, column) for name, column in trimmed.items()})


PARSE = pacsv.ParseOptions(newlines_in_values=True)


def _csv(path: Path, parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path.name} cannot be read as CSV: {error}. Expected a header line, commas, UTF-8, and quotes around "
            "text with commas or line ends. Nothing was loaded."
        ) from error


def _column(text: pa.Table, ours: str, theirs: str | None, file: str) -> pa.ChunkedArray:
    """One of our columns out of the Bureau's text; all null when the file does not have it."""
    kind = {
        "date_received": pa.date32(),
        "date_sent_to_company": pa.date32(),
        "disputed": pa.bool_(),
        "timely_response": pa.bool_(),
    }
    if theirs is None:
        return pa.nulls(text.num_rows, kind.get(ours, pa.string()))
    column = text[theirs]
    if ours == "date_received" and column.null_count:
        row = pc.index(pc.is_null(column), True).as_py() + 1
        raise DataError(f"{file}: {theirs!r} is blank in record {row}; every complaint has that day. Write it as {DATES}.")
    if kind.get(ours) == pa.date32():
        return _parsed(column, _day, pa.date32(), f"{file}: {theirs!r}", f"a date such as {DATES}")
    if kind.get(ours) == pa.bool_():
        return _parsed(column, ANSWERS.__getitem__, pa.bool_(), f"{file}: {theirs!r}", "Yes, No, or blank (N/A counts as blank)")
    return column


def _parsed(
    column: pa.ChunkedArray, parse: Callable[[str], Any], kind: pa.DataType, where: str, expected: str
) -> pa.ChunkedArray:
    """Parse each distinct text once: a column of dates or answers has few.

    Raises: DataError: names the text, its first record and what is expected.
    """
    codes = column.combine_chunks().dictionary_encode()
    values = []
    for text in codes.dictionary.to_pylist():
        try:
            values.append(parse(text))
        except (ValueError, KeyError) as error:
            row = pc.index(column, text).as_py() + 1
            raise DataError(
                f"{where} holds {text!r} in record {row}, expected {expected}. Correct it in the file. Nothing was loaded."
            ) from error
    return pc.take(pa.array(values, kind), codes.indices)


def _day(text: str) -> date:
    american = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text)
    if american:
        month, day, year = map(int, american.groups())
        return date(year, month, day)
    return datetime.fromisoformat(text).date()
