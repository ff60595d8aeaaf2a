"""What a run froze: its rows in parts, their encoding, the model trained on them. Written by one stage, read by later ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ml import targets
from ml.context import Context
from ml.errors import DataError
from ml.features import Encoding, columns, layout
from ml.problem import Feature, Problem
from ml.redaction import Rule
from ml.split import PARTS as PARTS
from ml.store import Store, digest

Arrays = dict[str, npt.NDArray[Any]]
LEARNED = PARTS[:2]  # train and validation: who has seen these has learned from them
ROWS, ENCODING, ENCODED = "rows.parquet", "encoding.json", "encoded.npz"  # by prepare
MODEL, BASELINES, HISTORY, PROGRESS = "model", "baselines.npz", "history.json", "progress.json"  # by train
PROBLEM, WEIGHTS, CURVES = "problem.json", "weights.npz", "tensorboard"  # by train too
NOISE = "noise_key.json"  # by train; with rows and weights it gives away what differential privacy hides, so it stays here
CHECKPOINTS = ("checkpoint.npz", "checkpoint_refit.npz")  # of its fits, while it runs
SCORES, PLOTS, EXAMPLES = "scores.parquet", "plots", "examples.json"  # by evaluate
REHEARSED = "rehearsed_rows.json"  # by rehearse: the rows whose answers changed most
REPORT = "registered/validation.html"  # by register, for MLflow: without what stands in single rows


def model_name(run_key: str) -> str:
    """Name in the store of the model that a run trained."""
    return f"runs/{run_key}/{MODEL}"


def model_of(store: Store, run_key: str, expected: str) -> Path:
    """Local folder of the model that a run trained, to the byte the one of digest `expected`.

    Raises: DataError: it is gone, or another one. TransientError: the store is away.
    """
    where = store.location(model_name(run_key))
    if not store.exists(model_name(run_key)):
        raise DataError(f"The model folder {where} is gone. Restore it from a backup, or train again.")
    folder = store.fetch(model_name(run_key))
    if (found := digest(folder)) != expected:
        raise DataError(
            f"The model folder {where} has been changed since it was registered: its digest is {found}, expected {expected}. "
            "Restore it from a backup, or train again."
        )
    return folder


def champion_features(context: Context) -> dict[str, Feature]:
    """Columns the champion needs, empty when there is none: a feature that was dropped is read on until a new champion
    does without it, or the two could never be compared.
    """
    return {name: Feature.model_validate(feature) for name, feature in _about_champion(context).get("features", {}).items()}


def champion_rules(context: Context) -> dict[str, Rule]:
    """How the champion's columns were hidden: a feature that is dropped takes its line under [privacy] redact with it, yet its
    values are read on, and must not be stored as they are.
    """
    rules: dict[str, Rule] = _about_champion(context).get("redact", {})
    return rules


def other_question(run: Context) -> str:
    """Why the model of a run cannot be compared with what the problem file asks now; empty when it can, or is gone."""
    name, asked = f"{model_name(run.run_key)}/model.json", run.problem
    about = run.store.read_json(name) if run.store.exists(name) else {}
    task, outputs = about.get("task", asked.problem.task), tuple(about.get("outputs", asked.outputs))
    if task == asked.problem.task and (outputs == asked.outputs or len(outputs) == len(asked.outputs) == 1):
        return ""
    return (
        f"it was made for task {task!r} and answers {', '.join(outputs)}, and the problem file asks for {asked.problem.task!r} "
        f"with {', '.join(asked.outputs)}. Write the problem file as it was, or give the other question a name of its own"
    )


def refuse_to_replace(context: Context) -> None:
    """Keep the files of a champion, present or past, as they were judged.

    Raises: DataError: this run made a version that was promoted.
    """
    for entry in context.ledger.moves(context.problem.name):
        if entry.run_key == context.run_key:
            raise DataError(
                f"Run {context.run_key} made version {entry.version}, which was promoted, and its inputs have changed since. "
                "Its files stay as they were judged; start a new run for the changed problem file."
            )


def _about_champion(context: Context) -> dict[str, Any]:
    """What stands beside the champion's model; nothing when there is no champion."""
    champion = context.ledger.champion(context.problem.name)
    name = f"{model_name(champion.run_key)}/model.json" if champion else ""
    return dict(context.store.read_json(name)) if name and context.store.exists(name) else {}


def rows_of(context: Context, part: str) -> pa.Table:
    """One part of the run's frozen rows: the feature columns, `_key`, `_day`, `_label`, `_part`."""
    return pq.read_table(context.file(ROWS), filters=[("_part", "=", part)])


def frozen(context: Context) -> pa.Table:
    """All frozen rows of the run, with `_fold` and, where the split names a group, `_group`."""
    return pq.read_table(context.file(ROWS))


def encoding_of(context: Context) -> Encoding:
    """What the run's encoder learned."""
    return Encoding.model_validate(context.store.read_json(context.name(ENCODING)))


def history_of(context: Context) -> dict[str, list[float]]:
    """Losses and metrics of the run's training by epoch; empty when it kept none."""
    name = context.name(HISTORY)
    return dict(context.store.read_json(name)) if context.store.exists(name) else {}


def encode(parts: Mapping[str, pa.Table], encoding: Encoding, problem: Problem) -> dict[str, Arrays]:
    """Parts as a network reads them: `categories`, `numbers`, `tokens` and `label`, rows in their order.

    Args:
        parts: rows with the features and `_label`, by any name.
    """
    plan = layout(encoding)

    def encoded(rows: pa.Table) -> Arrays:
        return columns.encode(rows, plan) | {"label": targets.targets(rows["_label"], problem).astype(np.float32)}

    return {name: encoded(rows) for name, rows in parts.items()}


def arrays_of(context: Context, part: str) -> Arrays:
    """One part encoded, see `encode`; rows in the order of `rows_of`."""
    with np.load(context.file(ENCODED), allow_pickle=False) as arrays:
        return {name.split(".")[1]: arrays[name] for name in arrays.files if name.startswith(f"{part}.")}
