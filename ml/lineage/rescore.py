"""What a clean champion would have answered in the place of touched ones, on the very rows that were asked."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml import requests, snapshot
from ml.context import Context
from ml.errors import DataError
from ml.ledger import Champion
from ml.lineage.batch import Blast, served_rows
from ml.scoring import Decision, Scorer

SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("position", pa.int32()),
        ("key", pa.string()),
        ("served_at", pa.timestamp("us", "UTC")),
        ("old_version", pa.int32()),
        ("old_score", pa.float64()),
        ("old_decision", pa.bool_()),
        ("old_several", pa.string()),
        ("new_version", pa.int32()),
        ("new_score", pa.float64()),
        ("new_decision", pa.bool_()),
        ("new_several", pa.string()),
        ("flipped", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Rescored:
    """What came out; `num_not` rows lack a column that the clean champion needs, or hold values it does not take."""

    version: int
    num_rows: int
    num_flipped: int
    num_not: int


def rescore(context: Context, blast: Blast, clean: Champion, out: Path) -> Rescored:
    """Score every touched prediction's logged row with a clean champion and write both answers, whole or not at all.

    Raises: DataError: the clean champion's model is gone or changed. TransientError: database or store are away.
    """
    scorer = Scorer.load(snapshot.model_of(context.store, clean.run_key, clean.model_digest))
    scratch, counts = out.with_name(f".{out.name}.writing"), np.zeros(3, np.int64)
    try:
        with pq.ParquetWriter(scratch, SCHEMA, compression="zstd") as writer:
            for rows in served_rows(context, blast):
                answered = _answered(rows, scorer, clean.version)
                writer.write_table(answered)
                new = answered["new_score"]
                counts += len(new), answered.filter(answered["flipped"]).num_rows, new.null_count
        scratch.replace(out)
    finally:
        scratch.unlink(missing_ok=True)
    return Rescored(clean.version, *counts.tolist())


def _answered(rows: pa.Table, scorer: Scorer, version: int) -> pa.Table:
    """Old and new answers side by side; null where the clean champion has none."""
    asked = [_fitting(json.loads(text), scorer) for text in rows["row"].to_pylist()]
    places = [place for place, row in enumerate(asked) if row is not None]
    new: list[dict[str, Any]] = [{} for _ in asked]
    old = rows.select(["request_id", "position", "key", "served_at", "version", "score", "decision", "several"]).to_pylist()
    if places:
        scores = scorer.score(scorer.table([row for row in asked if row is not None]))
        for place, said, then in zip(places, scorer.answers(scores), [_then(old[place]) for place in places], strict=True):
            new[place] = said | {"flipped": said["decision"] != then}
    told = [
        {**{f"old_{name}": was.pop(name) for name in ("version", "score", "decision", "several")}, **was, "new_version": version}
        | _columns(said)
        for was, said in zip(old, new, strict=True)
    ]
    return pa.Table.from_pylist(told, schema=SCHEMA)


def _then(row: dict[str, Any]) -> Decision:
    """What was decided then."""
    said: Decision = json.loads(row["several"])["decision"] if row["several"] else row["decision"]
    return said


def _columns(said: dict[str, Any]) -> dict[str, Any]:
    decision = said.get("decision")
    return {
        "new_score": said.get("score"),
        "new_decision": decision if isinstance(decision, bool) else None,
        "new_several": requests.several_of(said),
        "flipped": said.get("flipped"),
    }


def _fitting(row: dict[str, Any], scorer: Scorer) -> dict[str, Any] | None:
    """The columns of the clean champion, None when it cannot take the row."""
    held = {name: row[name] for name in scorer.columns if name in row}
    try:
        scorer.table([held])
    except DataError:
        return None
    return held
