"""How a person is recognised: by name, by the keys of their rows, and by the beginning of what they wrote."""

import html
import json
import re
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

SHORTEST_TEXT = 20  # characters; "yes" is nobody's own
BEGINNING = 40  # characters of a text that pages may have cut
ERASED = "[erased]"
BEFORE, AFTER = r"(?<![^\s\"'`()\[\]{}<>,;])", r"(?=[\s\"'`()\[\]{}<>,;]|\.(?!\w)|[!?…]|&(?:#|quot|lt|gt|amp)|$)"


@dataclass(frozen=True)
class Person:
    """`names` are values of `column`, as given and as stored; `keys` values of `key`; `texts` what they wrote."""

    column: str
    key: str
    names: frozenset[str]
    keys: frozenset[str] = frozenset()
    texts: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def columns(self) -> dict[str, frozenset[str]]:
        """Columns of tables and frozen rows that say whose row it is, with the person's values."""
        keys = self.keys | (self.names if self.column == self.key else frozenset())
        return {
            "_key": keys,
            "_labeller": self.names,
            self.key: keys,
            self.column: self.names | (keys if self.column == self.key else frozenset()),
        }

    @property
    def ids(self) -> frozenset[str]:
        """Everything that names them or one of their rows."""
        return self.names | self.keys

    @cached_property
    def distinct(self) -> frozenset[str]:
        """Ids that cannot be mistaken for a word, a small number or a date where they stand in a text."""
        return frozenset(one for one in self.ids if _is_distinct(one))

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """Finds them in a text: ids as whole values, texts by their beginning; None when there is nothing to look for."""
        ids = {spelt for one in self.distinct for spelt in _spellings(one)}
        texts = {spelt for one in self.texts for spelt in _spellings(one[:BEGINNING])}
        parts = [BEFORE + re.escape(one) + AFTER for one in sorted(ids)] + [re.escape(one) for one in sorted(texts)]
        return re.compile("|".join(parts)) if parts else None

    def mask(self, batch: pa.RecordBatch) -> pa.Array | None:
        """True for their rows; None when no column says whose row it is."""
        found = None
        for name, values in self.columns.items():
            place = batch.schema.get_field_index(name)
            if place >= 0:
                held = pc.is_in(batch.column(place).cast(pa.string()), value_set=pa.array(sorted(values), pa.string()))
                found = held if found is None else pc.or_(found, held)
        return found

    def others(self, batch: pa.RecordBatch) -> pa.Array:
        """True for the rows that are not theirs."""
        found = self.mask(batch)
        return pa.array([True] * batch.num_rows) if found is None else pc.invert(found)


def _is_distinct(text: str) -> bool:
    try:
        usual_day = 1900 <= date.fromisoformat(text).year < 2100
    except ValueError:
        usual_day = False
    return not usual_day and len(text) >= (8 if text.isalpha() else 6)


def _spellings(text: str) -> set[str]:
    """A text as it is, in JSON, in HTML, and in JSON within HTML."""
    spelt = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    escaped = {html.escape(one) for one in spelt}
    return spelt | escaped | {one.replace("&#x27;", "&#39;").replace("&quot;", "&#34;") for one in escaped}
