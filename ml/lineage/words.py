"""What lineage found, told to a person."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ml.ledger import Entry
from ml.lineage.batch import Blast, Model
from ml.lineage.upstream import Prediction, Upstream
from ml.scoring import in_words
from ml.window import spans

SHOWN = 20  # moves, deployments, rows of a request


def of_blast(blast: Blast) -> list[str]:
    """A blast radius: models, moves, deployments, predictions."""
    held = f" as raw@{blast.raw_version} held it" if blast.raw_version is not None else ""
    versions = ", ".join(map(str, blast.versions)) or "none"
    runs = "1 run learned from it or was" if len(blast.models) == 1 else f"{len(blast.models)} runs learned from it or were"
    lines = [f"Batch {blast.window}{held}: {runs} judged on it; registered versions: {versions}"]
    lines += [f"  {_model(model)}" for model in blast.models]
    if blast.unknown:
        lines += [f"  versions whose snapshot is gone, nobody can say: {', '.join(map(str, blast.unknown))}"]
    lines += [*_entries("Moves of the champion to such a version", blast.moves)]
    lines += [*_entries("Deployments", blast.deployments), f"Served predictions: {blast.num_served:,}"]
    return lines + [
        f"  version {version}: {one.num_rows:,} rows in {one.num_requests:,} requests, {one.first:%Y-%m-%d %H:%M} to "
        f"{one.last:%Y-%m-%d %H:%M} UTC"
        for version, one in blast.served.items()
    ]


def of_upstream(found: Upstream) -> list[str]:
    """A version's run, data and code."""
    state = {True: "the snapshot is intact", False: "the snapshot was changed since", None: "the snapshot is gone"}[found.intact]
    return [
        f"Version {found.version} was made by run {found.run_key}, model {found.model_digest[:12]}",
        f"  read {found.window} into raw@{found.raw_version}, learned from valid@{found.valid_version}",
        *(f"  {name}: {part.num_rows:,} rows of {part.first} to {part.last}" for name, part in found.parts.items()),
        f"  rows {found.rows_digest[:12]}, {state}",
        *(f"  from raw@{version}: {spans(days)}" for version, days in found.sources.items()),
        f"  code {found.code_version or 'unknown'}, problem file {found.problem_digest[:12] or 'unknown'}",
        *(f"  {line}" for line in found.decisions),
        f"  answered {found.served:,} rows",
    ]


def of_prediction(found: Prediction) -> list[str]:
    """A request with its answers, then its version."""
    first = found.rows[0]
    answers = [f"  row {row['position']} (key {row['key'] or 'none'}): {_said(row)}" for row in found.rows[:SHOWN]]
    if len(found.rows) > SHOWN:
        answers.append(f"  and {len(found.rows) - SHOWN} more rows; --json names all")
    asked = f"Request {found.request_id}, answered {first['served_at']:%Y-%m-%d %H:%M:%S} UTC by version {first['version']}"
    return [asked, *answers, *of_upstream(found.version)]


def _model(model: Model) -> str:
    names = " and ".join(f"version {version}" for version in model.versions) or "not registered"
    parts = ", ".join(f"{count:,} in {part}" for part, count in model.parts.items())
    sources = ", ".join(f"raw@{version}" for version in model.raw_versions) or "raw, version not recorded"
    return f"{model.run_key} ({names}): {parts}; through valid@{model.valid_version} from {sources}"


def _entries(title: str, entries: tuple[Entry, ...]) -> Iterator[str]:
    yield f"{title}: {len(entries)}"
    for entry in entries[:SHOWN]:
        yield f"  entry {entry.id}: {entry.kind} of version {entry.version}, {entry.at:%Y-%m-%d %H:%M} UTC, by {entry.actor}"
    if len(entries) > SHOWN:
        yield f"  and {len(entries) - SHOWN} more; --json names all"


def _said(row: Mapping[str, Any]) -> str:
    """A logged answer: a score with yes or no, or several outputs with what they mean."""
    if row["several"]:
        return in_words(json.loads(row["several"]))
    return f"score {row['score']:.4f}" + ("" if row["decision"] is None else f", {'yes' if row['decision'] else 'no'}")
