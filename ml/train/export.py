"""The model folder: raw columns in, score out, with an example that whoever loads it can check."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.features import Encoding, encoder
from ml.features.fit import NUMERIC
from ml.tables import ARROW_TYPES

if TYPE_CHECKING:
    import keras

EXAMPLES = 3
WORDS = 12  # in the text of a typical row


def write(folder: Path, core: "keras.Model", encoding: Encoding, *, about: dict[str, Any]) -> None:
    """Write `saved_model/` and `model.json`; the signature takes one 1-D tensor per raw column, and answers `score`: shape (n,)
    with one output, (n, k) with several.

    Args:
        about: problem, run_key, task, outputs, thresholds and redact, kept in model.json beside features and timezone.
    """
    import tensorflow as tf

    folder.mkdir(parents=True)
    module = tf.Module()
    module.encoder, module.core = encoder.build(encoding), core
    names = [tensor.name for tensor in core.inputs]

    @tf.function(autograph=False)
    def score(**raw: Any) -> dict[str, Any]:
        packed = module.encoder(raw)
        answer = module.core({name: packed[name] for name in names}, training=False)
        return {"score": answer[:, 0] if answer.shape[1] == 1 else answer}

    kinds = {name: tf.float32 if feature.type in NUMERIC else tf.string for name, feature in encoding.features.items()}
    signature = score.get_concrete_function(**{name: tf.TensorSpec([None], kind, name) for name, kind in kinds.items()})
    tf.saved_model.save(module, str(folder / "saved_model"), signatures={"serving_default": signature})
    features = {name: feature.model_dump(mode="json") for name, feature in encoding.features.items()}
    content = about | {"features": features, "timezone": encoding.timezone}
    (folder / "model.json").write_text(json.dumps(content, indent=2))


def typical(encoding: Encoding) -> pa.Table:
    """Rows made of what the encoder learned: the most frequent values, the next ones, and one in which all is missing.

    A model's folder is copied, served and kept; its example must not be anybody's row.
    """
    kinds = {name: feature.type for name, feature in encoding.features.items()}
    columns = {name: [*(_typical(encoding, name, place) for place in range(EXAMPLES - 1)), None] for name in kinds}
    return pa.table({name: pa.array(values, ARROW_TYPES[kinds[name]]) for name, values in columns.items()})


def _typical(encoding: Encoding, name: str, place: int) -> Any:
    kind, learned = encoding.features[name].type, encoding.statistics[name]
    if kind == "number":
        return learned.mean if place else learned.median
    if kind == "boolean":
        return place == 0
    if kind == "datetime":
        return datetime(2000, 1 + place, 3 + place, 8 + 9 * place, 30, tzinfo=UTC)
    if kind == "text":
        return " ".join(learned.vocabulary[place * WORDS : (place + 1) * WORDS])
    return learned.vocabulary[min(place, len(learned.vocabulary) - 1)] if learned.vocabulary else None


def write_example(folder: Path, rows: pa.Table, scores: npt.NDArray[np.float64]) -> None:
    """Keep a few rows as a client would send them, with the scores that the trained network gives them."""
    names = json.loads((folder / "model.json").read_text())["features"]
    sample = rows.select(list(names)).slice(0, EXAMPLES).to_pylist()
    plain = [{name: json_value(value) for name, value in row.items()} for row in sample]
    (folder / "example.json").write_text(json.dumps({"rows": plain, "scores": scores[: len(plain)].tolist()}, indent=2))


def json_value(value: Any) -> Any:
    """A cell as JSON: moments as ISO text."""
    return value.isoformat() if hasattr(value, "isoformat") else value
