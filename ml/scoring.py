"""An exported model: raw rows in, scores out. The same code scores in evaluation, in the service and in tests.

Where the model folder says that its LiteRT export answers like its SavedModel, that is what runs: TensorFlow is not imported.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml import exports, features, metrics
from ml.errors import DataError
from ml.features import columns
from ml.problem import TASKS, Feature
from ml.redaction import Rule
from ml.tables import ARROW_TYPES

if TYPE_CHECKING:
    from ml.exports.loader import Model

Floats = npt.NDArray[np.float64]
Decision = bool | str | list[str] | None
CHUNK = 16_384
WANTED = {
    "number": "a number",
    "boolean": "true or false",
    "datetime": "an ISO time with offset such as 2013-01-31T05:15:00-05:00",
    "category": "a string",
    "text": "a string",
    "zip": "a string",
}


@dataclass(frozen=True)
class Scorer:
    """A model folder: `saved_model/`, `model.json`, `example.json`; with `exports.json` other forms of it too."""

    version_dir: Path
    columns: dict[str, Feature]
    timezone: str
    task: str = "binary"
    outputs: tuple[str, ...] = ()  # names of what it answers, in order
    thresholds: tuple[float, ...] = ()  # of each output that says yes or no
    redact: dict[str, Rule] = field(default_factory=dict)  # what the rows that it learned from went through
    reference: bool = False  # run the SavedModel, whatever else there is

    @classmethod
    def load(cls, model_dir: Path, *, reference: bool = False) -> Self:
        """Read a model folder and warm the model with its own example.

        Args:
            reference: run the SavedModel also where a LiteRT export was found to answer like it.
        Raises: DataError: the folder holds no whole model.
        """
        try:
            about = json.loads((model_dir / "model.json").read_text())
            columns = {name: Feature.model_validate(feature) for name, feature in about["features"].items()}
            scorer = cls(
                model_dir,
                columns,
                about["timezone"],
                about["task"],
                tuple(about["outputs"]),
                tuple(about["thresholds"]),
                about.get("redact", {}),
                reference,
            )
            scorer.score(scorer.table(scorer.example["rows"]))
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{model_dir} holds no whole model ({error}). Train again, or restore the folder.") from error
        return scorer

    @cached_property
    def example(self) -> dict[str, Any]:
        """Rows with the scores that training saw for them: {"rows": [...], "scores": [...]}."""
        content: dict[str, Any] = json.loads((self.version_dir / "example.json").read_text())
        return content

    def example_difference(self) -> float:
        """How far its answers to its own example are from those that training saw, see `difference`."""
        scores = self.score(self.table(self.example["rows"]))
        return difference(scores, np.asarray(self.example["scores"], dtype=np.float64))

    def decisions(self, scores: Floats) -> list[Decision]:
        """What the scores of every row mean: yes or no, the likeliest class, the labels that hold, nothing for numbers."""
        if TASKS[self.task].label == "number":
            return [None] * len(scores)
        said = metrics.decide(self.task, scores, self.thresholds).tolist()
        if self.task == "multiclass":
            return [self.outputs[place] for place in said]
        if self.task == "multilabel":
            return [[name for name, holds in zip(self.outputs, row, strict=True) if holds] for row in said]
        return list(said)

    def answers(self, scores: Floats) -> list[dict[str, Any]]:
        """Per row `score` and `decision`; with several outputs `scores` by name, and `score` is the largest probability."""
        decided = self.decisions(scores)
        if scores.ndim == 1:
            return [{"score": score, "decision": said} for score, said in zip(scores.tolist(), decided, strict=True)]
        largest = [None] * len(scores) if TASKS[self.task].label == "number" else scores.max(axis=1).tolist()
        named = [dict(zip(self.outputs, row, strict=True)) for row in scores.tolist()]
        return [
            {"score": score, "decision": said, "scores": every}
            for score, said, every in zip(largest, decided, named, strict=True)
        ]

    @cached_property
    def core(self) -> "Model | None":
        """The LiteRT export with its encoder, safe in many threads at once; None where the SavedModel runs."""
        if self.reference or "litert" not in exports.published(self.version_dir):
            return None
        from ml.exports import loader

        return loader.Model(self.version_dir)

    @cached_property
    def _call(self) -> Any:
        import tensorflow as tf

        return tf.saved_model.load(str(self.version_dir / "saved_model"))

    def table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """JSON rows as a table of the model's columns; null is allowed, a column left out is not.

        Raises: DataError: names the row, the column and what was expected.
        """
        for number, row in enumerate(rows):
            missing, unknown = set(self.columns) - set(row), set(row) - set(self.columns)
            if missing or unknown:
                what = f"no column {min(missing)!r}" if missing else f"unknown column {min(unknown)!r}"
                raise DataError(f"Row {number} has {what}. Expected the columns {', '.join(self.columns)}; null says missing.")
        values = {
            name: pa.array(
                [_value(row[name], name, feature.type, number) for number, row in enumerate(rows)], ARROW_TYPES[feature.type]
            )
            for name, feature in self.columns.items()
        }
        return pa.table(values)

    def score(self, rows: pa.Table) -> Floats:
        """What the model answers: shape (n,) with one output, (n, k) with several.

        Raises: DataError: a column of the model is missing in `rows`.
        """
        absent = [name for name in self.columns if name not in rows.column_names]
        if absent:
            raise DataError(f"The model at {self.version_dir} needs column {absent[0]!r}; these rows hold {rows.column_names}.")
        pieces = [rows.slice(start, CHUNK) for start in range(0, rows.num_rows, CHUNK)]
        if self.core is None:
            parts = [self._by_saved_model(piece) for piece in pieces]
        else:
            parts = [self.core.run(columns.encode(piece, self.core.encoder.plan)) for piece in pieces]
        return np.concatenate(parts).astype(np.float64) if parts else self._nothing

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> Floats:
        """The same for few rows that were checked before: every column is there, times are ISO texts with an offset or datetimes.

        Raises: DataError, OverflowError: a value that the model cannot take.
        """
        if self.core is None:
            return self.score(self.table(rows))
        return self.core.score(rows).astype(np.float64) if rows else self._nothing

    @property
    def _nothing(self) -> Floats:
        return np.zeros((0, len(self.outputs)) if len(self.outputs) > 1 else 0)

    def _by_saved_model(self, rows: pa.Table) -> npt.NDArray[Any]:
        import tensorflow as tf

        raw = features.inputs(rows, self.columns, timezone=self.timezone)
        call = self._call.signatures["serving_default"]
        return np.asarray(call(**{name: tf.constant(column) for name, column in raw.items()})["score"].numpy())


def difference(answered: Floats, expected: Floats) -> float:
    """Largest difference, of numbers above 1 in relation to them: float32 knows seven digits. NaN when any is no number,
    infinite without a row.
    """
    gaps = np.abs(answered - expected) / np.maximum(1.0, np.abs(expected))
    return float(gaps.max()) if len(gaps) else float("inf")


def in_words(answer: Mapping[str, Any]) -> str:
    """An answer in a few words: `0.2431, which means no`."""
    scores, decision = answer.get("scores"), answer["decision"]
    said = ", ".join(f"{name} {score:.4g}" for name, score in scores.items()) if scores else f"{answer['score']:.4f}"
    if decision is None:
        return said
    if isinstance(decision, bool):
        return f"{said}, which means {'yes' if decision else 'no'}"
    names = ", ".join(decision) if isinstance(decision, list) else decision
    return f"{said}, which means {names or 'none of them'}"


def _value(value: Any, name: str, kind: str, number: int) -> Any:
    """Check one JSON value; Python's own bool is no number here."""
    fits = value is None or (
        (isinstance(value, int | float) and not isinstance(value, bool))
        if kind == "number"
        else isinstance(value, bool)
        if kind == "boolean"
        else isinstance(value, str)
    )
    if fits and kind == "datetime" and value is not None:
        return _moment(value, name, number)
    if fits and kind == "number" and value is not None:
        if math.isfinite(number_ := float(value)):
            return number_
        fits = False
    if not fits:
        raise DataError(f"Row {number}, column {name!r}: expected {WANTED[kind]} or null. Received: {value!r}.")
    return value


def _moment(text: str, name: str, number: int) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise DataError(f"Row {number}, column {name!r}: expected {WANTED['datetime']} or null. Received: {text!r}.")
    return moment
