r"""One answered request, and its rows as lines of COPY's text format: tabs between values, \N for null."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.tables import ARROW_TYPES

SHADOW = "shadow"  # the arm whose answers nobody got
COLUMNS = ("request_id", "position", "arm", "problem", "version", "served_at", "key", "score", "decision", "several", "row")
PROBLEM, SERVED_AT, KEY, ROW = (COLUMNS.index(name) for name in ("problem", "served_at", "key", "row"))
SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("position", pa.int32()),
        ("version", pa.int32()),
        ("served_at", pa.timestamp("us", "UTC")),
        ("key", pa.string()),
        ("score", pa.float64()),
        ("decision", pa.bool_()),
        ("several", pa.string()),
        ("row", pa.string()),
        ("arm", pa.string()),
    ]
)


@dataclass(frozen=True)
class Request:
    """One answered request; the lists have one element per row, in the order of the request."""

    request_id: str
    problem: str
    version: int
    served_at: datetime
    keys: list[str | None]
    rows: list[dict[str, Any]]
    answers: list[dict[str, Any]]  # score, decision and scores, as `Scorer.answers` tells them
    arm: str = "champion"

    def only(self, places: Sequence[int]) -> "Request":
        """The same request with some of its rows."""
        return replace(
            self,
            keys=[self.keys[place] for place in places],
            rows=[self.rows[place] for place in places],
            answers=[self.answers[place] for place in places],
        )


@dataclass(frozen=True)
class Answered:
    """What a version answered: rows, requests, and the first and last moment."""

    num_rows: int
    num_requests: int
    first: datetime
    last: datetime


def lines(request: Request) -> bytes:
    """The rows of a request as COPY takes them, in the order of COLUMNS; some microseconds a row, for it is done as it is asked.

    Raises: ValueError: a value that no JSON text can hold, half a surrogate pair say.
    """
    before, after = f"{escaped(request.request_id)}\t", f"\t{request.arm}\t{request.problem}\t{request.version}\t"
    after += f"{request.served_at.isoformat()}\t"
    made = []
    for position, (key, row, answer) in enumerate(zip(request.keys, request.rows, request.answers, strict=True)):
        score, decision = answer["score"], answer["decision"]
        said = f"{float(score)!r}\t" if score is not None else "\\N\t"
        said += ("t\t" if decision else "f\t") if isinstance(decision, bool) else "\\N\t"
        said += f"{escaped(several_of(answer) or '')}\t" if "scores" in answer else "\\N\t"
        named = "\\N" if key is None else escaped(key)
        # JSON spells tabs and line ends, so of what COPY takes for its own only the backslash is left
        made.append(f"{before}{position}{after}{named}\t{said}".encode() + _json(row).replace(b"\\", rb"\\") + b"\n")
    return b"".join(made)


def fields(line: bytes) -> list[bytes]:
    """The values of one line, spelt as COPY spells them; fewer than COLUMNS of a line that was torn."""
    return line.split(b"\t")


def unescaped(value: bytes) -> str | None:
    """A value of a line as the database will hold it."""
    if value == rb"\N":
        return None
    return _SPELT.sub(lambda found: _MEANT[found[0]], value).decode() if b"\\" in value else value.decode()


@dataclass(frozen=True)
class Logged:
    """One row of the log, with what was answered."""

    version: int
    served_at: datetime
    key: str | None
    row: dict[str, Any]
    answer: dict[str, Any]  # score and decision, with several outputs scores by name


def answer_of(score: float | None, decision: bool | None, several: str | None) -> dict[str, Any]:
    """An answer from what the log's columns hold of it."""
    return {"score": score, **json.loads(several)} if several else {"score": score, "decision": decision}


def several_of(answer: Mapping[str, Any]) -> str | None:
    """What the log's column `several` holds of an answer: scores by name and decision, nothing of a single output."""
    return json.dumps({"scores": answer["scores"], "decision": answer["decision"]}) if "scores" in answer else None


def scores_of(rows: pa.Table) -> npt.NDArray[np.float64]:
    """What was answered: shape (n,) with one output, (n, k) with several; rows of one version."""
    if rows.num_rows and rows["several"].null_count == 0:
        return np.asarray([list(json.loads(text)["scores"].values()) for text in rows["several"].to_pylist()], np.float64)
    return np.asarray(rows["score"].to_numpy(), np.float64)


def typed(values: Sequence[Any], kind: str) -> pa.Array:
    """Values of one column of logged rows, as the type that the problem file declares.

    Raises: ValueError: a value is none of it, or a moment without an offset.
    """
    try:
        if kind == "datetime":
            values = [None if value is None else datetime.fromisoformat(value) for value in values]
            naive = [str(moment) for moment in values if moment is not None and moment.tzinfo is None]
            if naive:
                raise ValueError(f"{naive[0]} has no offset")
        return pa.array(values, ARROW_TYPES[kind])
    except TypeError as error:
        raise ValueError(str(error)) from error


_json = msgspec.json.Encoder().encode
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_MEANT = {rb"\\": b"\\", rb"\t": b"\t", rb"\n": b"\n", rb"\r": b"\r"}
_SPELT = re.compile(rb"\\[\\tnr]")


def escaped(text: str) -> str:
    """A text as COPY takes it."""
    return text.translate(_ESCAPES) if not text.isalnum() else text
