"""The files of runs: frozen rows without the person, everything that stands beside them row by row, and texts."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.erase.person import ERASED, Person
from ml.erase.search import is_row_of
from ml.snapshot import BASELINES, ENCODED, ENCODING, MODEL, PARTS, ROWS
from ml.store import Store

NOTE = "erased.json"  # beside a run's rows: which erasures took rows out of them


def rows_of(store: Store, person: Person, token: str) -> dict[str, dict[str, int]]:
    """Rows of the person per run and part, also those that this erasure has taken out before."""
    found: dict[str, dict[str, int]] = {}
    for name in store.names("runs"):
        run_key = name.split("/")[1]
        if name.endswith(f"/{NOTE}"):
            held = store.read_json(name).get(token)
        elif name.endswith(f"/{ROWS}"):
            held = dict(Counter(_theirs(pq.read_table(io.BytesIO(store.read(name)), columns=["_key", "_part"]), person)))
        else:
            continue
        if held:
            found[run_key] = held | found.get(run_key, {})
    return dict(sorted(found.items()))


def erase_rows(store: Store, run_key: str, person: Person, token: str) -> None:
    """Take the person out of a run's frozen rows, encoded arrays and scores.

    The record of the stage keeps the digest of the rows that the model learned from: that is history. The frozen rows come
    last, since they alone say where in the arrays the person stands; killed before, this starts over.
    """
    folder = f"runs/{run_key}"
    rows = pq.read_table(io.BytesIO(store.read(f"{folder}/{ROWS}")))
    keep = pc.invert(pc.is_in(rows["_key"], value_set=pa.array(sorted(person.columns["_key"]), pa.string())))
    kept = np.asarray(keep.to_numpy())
    if kept.all():
        return
    note = store.read_json(f"{folder}/{NOTE}") if store.exists(f"{folder}/{NOTE}") else {}
    store.write_json(f"{folder}/{NOTE}", note | {token: dict(Counter(rows.filter(pc.invert(keep))["_part"].to_pylist()))})
    part = np.asarray(rows["_part"].to_pylist(), dtype=object)
    by_part = {name: kept[part == name] for name in PARTS}
    _shorten(store, f"{folder}/{ENCODED}", lambda name: by_part[name.split(".")[0]])
    _shorten(store, f"{folder}/{BASELINES}", lambda name: by_part["test"])
    with store.replacing(f"{folder}/{ROWS}") as path:
        pq.write_table(rows.filter(keep), path, compression="zstd")


def erase_parquet(store: Store, name: str, person: Person) -> None:
    """Take the person's rows out of any other Parquet file of a run."""
    rows = pq.read_table(io.BytesIO(store.read(name)))
    parts = [batch.filter(person.others(batch)) for batch in rows.to_batches()]
    with store.replacing(name) as path:
        pq.write_table(pa.Table.from_batches(parts, rows.schema), path, compression="zstd")


def scrub(store: Store, name: str, person: Person) -> bool:
    """Hide the person in a JSON file, page or other text; False when it must not be changed."""
    if is_bound(name):
        return False
    text = store.read(name).decode()
    if name.endswith(".json") and "/_delta_log/" not in name:
        store.write_json(name, without(json.loads(text), person))
    elif "/_delta_log/" in name:
        store.write(name, "\n".join(map(_without_statistics, text.splitlines())).encode() + b"\n")
    elif person.pattern:
        store.write(name, person.pattern.sub(ERASED, text).encode())
    return True


def is_bound(name: str) -> bool:
    """Whether a digest in the ledger covers the file, so that a changed one would not be served any more."""
    parts = name.split("/")
    return (parts[0] == "runs" and (MODEL in parts[2:3] or parts[-1] == ENCODING)) or name.endswith(".checkpoint.parquet")


def without(value: Any, person: Person) -> Any:
    """JSON content without the person: their rows leave lists, their values are replaced."""
    if isinstance(value, list):
        return [without(one, person) for one in value if not (isinstance(one, dict) and is_row_of(one, person))]
    if isinstance(value, dict):
        named = is_row_of(value, person)
        return _merged((_hidden(key, person), None if named else without(one, person)) for key, one in value.items())
    return _hidden(value, person) if isinstance(value, str) else value


def _hidden(text: str, person: Person) -> str:
    return person.pattern.sub(ERASED, text) if person.pattern else text


def _merged(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Counts of values that have become the same add up."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        both = key in found and isinstance(value, int) and isinstance(found[key], int)
        found[key] = found[key] + value if both else value
    return found


def _theirs(rows: pa.Table, person: Person) -> list[str]:
    found: list[str] = []
    for batch in rows.to_batches():
        mask = person.mask(batch)
        found += batch.filter(mask).column("_part").to_pylist() if mask is not None else []
    return found


def _shorten(store: Store, name: str, kept: Callable[[str], npt.NDArray[np.bool_]]) -> None:
    """Leave rows out of the arrays of a file; arrays that are short already were done before a kill.

    Args:
        kept: which rows stay in the array of that name.
    """
    if not store.exists(name):
        return
    loaded = np.load(io.BytesIO(store.read(name)), allow_pickle=False)
    arrays = {key: loaded[key] for key in loaded.files}
    for key, array in arrays.items():
        mask = kept(key)
        arrays[key] = array[mask] if len(array) == len(mask) else array
    with store.replacing(name) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _without_statistics(line: str) -> str:
    """One action of a Delta log without smallest and largest values; they only help to skip files."""
    action = json.loads(line)
    if stats := (action.get("add") or {}).get("stats"):
        action["add"]["stats"] = json.dumps({"numRecords": json.loads(stats)["numRecords"]})
    return json.dumps(action, separators=(",", ":"), ensure_ascii=False)
