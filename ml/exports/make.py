"""Exports of a model folder: each made, run over the same raw rows as the SavedModel, and published when it answers alike."""

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ml.exports import convert
from ml.exports.convert import Arrays
from ml.features import columns
from ml.problem import Serving, Target
from ml.records import Exported

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]
EXACT = 1e-5  # largest difference of an export that computes in float32, in probability or deviations of the label
ENCODER, LOADER, TOLD = "encoder.json", "loader.py", "exports.json"
LITERT = "core.tflite"  # what the service runs
FILES: dict[Target, str] = {
    "litert": LITERT,
    "litert_float16": "core_float16.tflite",
    "litert_int8": "core_int8.tflite",
    "litert_int8_full": "core_int8_full.tflite",
    "litert_pruned": "core_pruned.tflite",
    "onnx": "core.onnx",
}
REPRESENTATIVE = 1_000  # rows whose ranges a full quantisation learns


@dataclass(frozen=True)
class Check:
    """What every export is judged by.

    Attributes:
        rows: raw rows with the model's columns.
        reference: what the SavedModel answers to them, shape (n,) or (n, k).
        scale: unit of a difference, per output.
        quality: of answers to these rows; None where it is not defined.
        tolerance: largest difference of an export that is smaller at some cost.
    """

    rows: pa.Table
    reference: Floats
    scale: npt.NDArray[np.float64]
    quality: Callable[[Floats], float | None]
    tolerance: float

    def difference(self, answers: Floats) -> float:
        """The largest of any row."""
        return float((np.abs(answers - self.reference) / np.squeeze(self.scale)).max())


def make(
    folder: Path, core: "keras.Model", plan: Mapping[str, Any], *, serving: Serving, check: Check, representative: Arrays
) -> list[Exported]:
    """Write the wanted exports beside `saved_model/`, with the encoder, the loader and `exports.json`, which tells of each.

    Args:
        plan: from `features.layout`.
        serving: which exports, and how they are made smaller.
        representative: packed rows.
    """
    from ml.exports import loader

    (folder / ENCODER).write_text(json.dumps(plan, ensure_ascii=False))
    shutil.copyfile(loader.__file__, folder / LOADER)
    plain = loader.Encoder(json.loads((folder / ENCODER).read_text()))(check.rows.to_pylist())
    encoded = (plain, columns.encode(check.rows, plan))  # as the service encodes few rows, and many
    some = {name: array[:: 1 + len(array) // REPRESENTATIVE] for name, array in representative.items()}
    told = [_reference(folder, check)]
    for target in dict.fromkeys(serving.targets):
        failed = _made(folder / FILES[target], core, target, some, serving.pruned_share)
        told.append(_judged(folder, target, failed, encoded, check))
    (folder / TOLD).write_text(json.dumps({"exports": [one.model_dump() for one in told]}, indent=2))
    return told


def _made(file: Path, core: "keras.Model", target: Target, representative: Arrays, pruned_share: float) -> str:
    """Write one export; returns why it cannot be made, empty when it is."""
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        if target == "onnx":
            file.write_bytes(convert.onnx(core))
        else:
            file.write_bytes(convert.litert(core, target, representative=representative, pruned_share=pruned_share))
    except (RuntimeError, ValueError, TypeError, ConverterError) as error:
        return f"the converter failed: {str(error).splitlines()[0][:200]}"
    return ""


def _judged(folder: Path, target: Target, failed: str, encoded: Iterable[Arrays], check: Check) -> Exported:
    """Compare an export with the SavedModel row by row; what differs too much is removed again."""
    file, tolerance = folder / FILES[target], EXACT if target in ("litert", "onnx") else check.tolerance
    about = {"target": target, "file": FILES[target], "num_rows": check.rows.num_rows, "tolerance": tolerance}
    if failed:
        file.unlink(missing_ok=True)
        return Exported(**about, published=False, why=failed)
    size = file.stat().st_size
    answers = [run(file, packed).astype(np.float64) for packed in encoded]
    difference = max(map(check.difference, answers))
    if not (published := difference <= tolerance):
        file.unlink()
        log.warning(
            "train: export %s differs by %.2g from the SavedModel, %.2g allowed; not published", target, difference, tolerance
        )
    why = "" if published else f"it differs by {difference:.2g} from the SavedModel, {tolerance:.2g} allowed"
    return Exported(
        **about, num_bytes=size, difference=difference, quality=check.quality(answers[0]), published=published, why=why
    )


def _reference(folder: Path, check: Check) -> Exported:
    """The SavedModel, which all others are compared with."""
    size = sum(file.stat().st_size for file in (folder / "saved_model").rglob("*") if file.is_file())
    about = {"num_rows": check.rows.num_rows, "difference": 0.0, "quality": check.quality(check.reference)}
    return Exported(target="savedmodel", file="saved_model", num_bytes=size, tolerance=0.0, published=True, **about)


def run(file: Path, packed: Arrays) -> npt.NDArray[Any]:
    """Score packed rows with an export, in the runtime it is for: shape (n,) or (n, k)."""
    if file.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        answer = session.run(None, {one.name: packed[one.name] for one in session.get_inputs()})[0]
        return np.asarray(answer[:, 0] if answer.shape[1] == 1 else answer)
    from ml.exports import loader

    return loader.Model(file.parent, file.name).run(packed)


def published(folder: Path) -> dict[str, Exported]:
    """The exports of a model folder that answered like its SavedModel; none of a folder from before there were any."""
    if not (folder / TOLD).exists():
        return {}
    told = [Exported.model_validate(one) for one in json.loads((folder / TOLD).read_text())["exports"]]
    return {one.target: one for one in told if one.published}
