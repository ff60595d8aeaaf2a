"""The search: every file of a problem's store and the request log. What it does not find is not there."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.erase.person import SHORTEST_TEXT, Person
from ml.store import Store

OWN = "privacy/"  # keyed hashes and the salt; nobody's name
NUMBERS = (".npz", ".npy", ".png")


def identify(store: Store, person: Person, texts: frozenset[str]) -> tuple[Person, bool]:
    """The person with the keys and texts of all their rows, in old files of the tables too.

    Args:
        texts: columns with free text.
    Returns: the person, and whether every file has the column that names people.
    """
    keys, wrote, all_named = set(person.keys), set(person.texts), True
    for name in filter(is_data, store.names("tables")):
        for batch in _batches(store.read(name), [person.column, person.key, *texts]):
            all_named &= person.column in batch.schema.names
            if (mask := person.mask(batch)) is None or not pc.any(mask).as_py():
                continue
            theirs = batch.filter(mask)
            keys |= {str(key) for key in _values(theirs, person.key)}
            wrote |= {text for column in texts for text in _values(theirs, column) if len(text) >= SHORTEST_TEXT}
    return replace(person, keys=frozenset(keys), texts=frozenset(wrote)), all_named


def everywhere(store: Store, person: Person, below: str = "") -> Counter[str]:
    """How often the person is found, per file of the store, or of a folder of it, that holds them."""
    found: Counter[str] = Counter()
    for name in store.names(below):
        if not name.startswith(OWN) and (count := in_file(store, name, person)):
            found[name] = count
    return found


def in_file(store: Store, name: str, person: Person) -> int:
    """How often the person is found in one file."""
    if name.endswith(NUMBERS):
        return 0
    content = store.read(name)
    if name.endswith(".parquet"):
        return sum(_in_batch(batch, person) for batch in _batches(content))
    text = content.decode("utf-8", "replace")
    if name.endswith(".json") and "/_delta_log/" not in name:
        with suppress(ValueError):  # not whole, from a process that was killed: searched as text
            return in_json(json.loads(text), person)
    return len(person.pattern.findall(text)) if person.pattern else 0


def copies(store: Store, person: Person) -> int:
    """How often the person is found in the local copies of a store in S3."""
    return sum(everywhere(_copies(store), person).values()) if store.is_remote else 0


def forget_copies(store: Store, person: Person) -> None:
    """Remove the local copies that hold the person; they are fetched again when somebody asks."""
    if store.is_remote:
        for copy in {name.split("/")[0] for name in everywhere(_copies(store), person)}:
            _copies(store).delete(copy)


def _copies(store: Store) -> Store:
    return Store(store.cache)


def in_json(value: Any, person: Person) -> int:
    """How often the person is found in what a JSON file holds: in its strings, and as a row's key."""
    if isinstance(value, dict):
        named = is_row_of(value, person)
        return named + sum(in_json(one, person) for pair in value.items() for one in pair if not named)
    if isinstance(value, list):
        return sum(in_json(one, person) for one in value)
    return len(person.pattern.findall(value)) if isinstance(value, str) and person.pattern else 0


def is_row_of(value: dict[str, Any], person: Person) -> bool:
    """Whether an object is a row of the person, as examples and requests are kept."""
    named = person.columns | {"key": person.columns["_key"]}
    return any(isinstance(value.get(name), str | int) and str(value[name]) in ids for name, ids in named.items())


def is_data(name: str) -> bool:
    """Whether a file holds rows of a table, of its newest version or an old one."""
    return name.startswith("tables/") and name.endswith(".parquet") and "/_delta_log/" not in name


def _batches(content: bytes, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(io.BytesIO(content)) as file:
        held = file.schema_arrow.names
        yield from file.iter_batches(
            columns=None if columns is None else [name for name in dict.fromkeys(columns) if name in held]
        )


def _in_batch(batch: pa.RecordBatch, person: Person) -> int:
    """Rows that are theirs, or hold one of their distinct ids in any other column."""
    mask = person.mask(batch)
    ids = pa.array(sorted(person.distinct), pa.string())
    for column in batch.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            held = pc.is_in(column.cast(pa.string()), value_set=ids)
            mask = held if mask is None else pc.or_(mask, held)
    return int(pc.sum(mask).as_py() or 0) if mask is not None else 0


def _values(rows: pa.RecordBatch, column: str) -> list[Any]:
    place = rows.schema.get_field_index(column)
    return [value for value in rows.column(place).to_pylist() if value is not None] if place >= 0 else []
