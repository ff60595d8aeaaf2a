"""What a stage found out, in a few words, from the record in its run's folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Fields = dict[str, Any]


def note(stage: str, folder: Path) -> str:
    """The words for a stage, empty as long as its record is not there."""
    content = _read(folder / f"{stage}.json")
    if content is not None and stage in WORDS:
        return WORDS[stage](content["record"])
    progress = _read(folder / "progress.json") if stage == "train" else None
    if progress is None:
        return ""
    if "validation_loss" not in progress:
        return f"epoch {progress['epoch']:.0f} of {progress['epochs']:.0f}, from training and validation rows"
    return f"epoch {progress['epoch']:.0f} of at most {progress['epochs']:.0f}, validation loss {progress['validation_loss']:.4f}"


def _read(path: Path) -> Fields | None:
    try:
        content: Fields = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return content


def _evaluated(record: Fields) -> str:
    models = {"candidate": record["candidate"], "champion": record["champion"], **record["baselines"]}
    sides = {side: scores["metrics"] for side, scores in models.items() if scores}
    metric = next(iter(sides["candidate"]))
    return f"{metric} " + ", ".join(f"{side} {metrics[metric]['value']:.4f}" for side, metrics in sides.items())


def _rehearsed(record: Fields) -> str:
    mine, theirs, found = record["candidate"], record["champion"], record["difference"]
    told = f"one row {mine['row_ms']:.3g} ms" + (f", champion {theirs['row_ms']:.3g}" if theirs else "")
    changed = (
        f", {found['flips']:,} of {found['num_rows']:,} rows decided otherwise" if found and found["flips"] is not None else ""
    )
    return f"{record['num_rows']:,} {record['asked']}: {told}{changed}"


def _gated(record: Fields) -> str:
    broken = [rule["sentence"] for rule in record["rules"] if not rule["holds"]]
    return f"{record['decision']}: " + ("; ".join(broken) or "every rule holds")


WORDS: dict[str, Callable[[Fields], str]] = {
    "ingest": lambda record: f"{record['num_rows']:,} rows of {record['start']}/{record['end']}",
    "validate": lambda record: f"{record['num_valid']:,} valid, {record['num_quarantined']:,} quarantined",
    "decide": lambda record: record["why"],
    "prepare": lambda record: ", ".join(f"{part} {record[part]['num_rows']:,}" for part in ("train", "validation", "test")),
    "train": lambda record: f"best of {record['epochs']} epochs: {record['best_epoch']}, loss {record['validation_loss']:.4f}",
    "evaluate": _evaluated,
    "rehearse": _rehearsed,
    "gate": _gated,
    "register": lambda record: f"version {record['version']}" if record["version"] else "no version, only the run",
    "promote": lambda record: f"version {record['version']} is champion, before it {record['previous'] or 'none'}",
    "deploy": lambda record: f"version {record['version']} answers",
    "monitor": lambda record: record["reason"],
}
