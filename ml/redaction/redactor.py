"""Redaction of named columns, batch by batch or one JSON row at a time; both give the same values."""

import hmac
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.redaction.text import SUSPECT, scrub

Rule = Literal["text", "hash", "remove"]
HASHED = re.compile(r"h:[0-9a-f]{32}")


def hashed(value: str, *, column: str, salt: bytes) -> str:
    """`h:` and 128 bits of HMAC-SHA256 over column and value; what is hashed already stays as it is.

    Equal values of a column stay equal, so joins work; without the salt a value can neither be found nor tried out.
    """
    if HASHED.fullmatch(value):
        return value
    return "h:" + hmac.digest(salt, f"{column}\0{value}".encode(), "sha256").hex()[:32]


class Redactor:
    """Applies the rules of a problem. `counts` tells, per column, how many values were changed so far."""

    def __init__(self, rules: Mapping[str, Rule], salt: bytes = b"") -> None:
        if not salt and "hash" in rules.values():
            raise ValueError("A redactor that hashes needs a salt.")
        self.rules = dict(rules)
        self.counts: Counter[str] = Counter()
        self._salt = salt

    def redact(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch under the rules, same schema; columns without a rule are passed on untouched."""
        for name, rule in self.rules.items():
            place = batch.schema.get_field_index(name)
            if place >= 0:
                column = self._column(name, rule, batch.column(place))
                batch = batch.set_column(place, batch.schema.field(place), column)
        return batch

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """One JSON row under the rules; values that are no text are the business of whoever checks the row."""
        return {name: self.value(name, value) if name in self.rules else value for name, value in row.items()}

    def value(self, name: str, value: Any) -> Any:
        """One value of a column under its rule."""
        rule = self.rules.get(name)
        if rule == "remove":
            return None
        return self._changed(name, rule)(value) if rule and isinstance(value, str) else value

    def _changed(self, name: str, rule: Rule) -> Callable[[str], str]:
        return scrub if rule == "text" else lambda value: hashed(value, column=name, salt=self._salt)

    def _column(self, name: str, rule: Rule, column: pa.Array) -> pa.Array:
        if rule == "remove":
            self.counts[name] += len(column) - column.null_count
            return pa.nulls(len(column), column.type)
        wanted = pc.is_valid(column) if rule == "hash" else pc.match_substring_regex(column, SUSPECT).fill_null(False)
        places = np.flatnonzero(wanted.to_numpy(zero_copy_only=False))
        if len(places) == 0:
            return column
        coded = column.take(pa.array(places)).dictionary_encode()  # each distinct value once
        before = coded.dictionary.to_pylist()
        after = pa.array(list(map(self._changed(name, rule), before)), column.type)
        new = after.take(coded.indices)
        differs = pc.not_equal(new, column.take(pa.array(places))).to_numpy(zero_copy_only=False)
        self.counts[name] += int(differs.sum())
        return pc.replace_with_mask(column, wanted, new)
