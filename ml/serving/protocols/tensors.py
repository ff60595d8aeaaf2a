"""TensorProto to values and back, as `tf.make_ndarray` and `tf.make_tensor_proto` do it, without TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml.errors import DataError
from ml.serving.answer import MAX_ROWS, TooLargeError
from ml.serving.protocols import protos

FIELDS = {
    "DT_FLOAT": ("float_val", "<f4"),
    "DT_DOUBLE": ("double_val", "<f8"),
    "DT_INT32": ("int_val", "<i4"),
    "DT_INT16": ("int_val", "<i2"),
    "DT_INT8": ("int_val", "i1"),
    "DT_UINT8": ("int_val", "u1"),
    "DT_UINT16": ("int_val", "<u2"),
    "DT_INT64": ("int64_val", "<i8"),
    "DT_UINT32": ("uint32_val", "<u4"),
    "DT_UINT64": ("uint64_val", "<u8"),
    "DT_BOOL": ("bool_val", "?"),
    "DT_STRING": ("string_val", ""),  # never packed
}


def values(name: str, tensor: Any) -> list[Any]:
    """The values of an input of shape [n] or [n, 1].

    Raises: DataError: another type or shape, or fewer bytes than the shape asks for. TooLargeError: more than MAX_ROWS rows.
    """
    types = protos.numbers("tensorflow.DataType")
    dtype = next((one for one, number in types.items() if number == tensor.dtype), str(tensor.dtype))
    if dtype not in FIELDS:
        raise DataError(f"Input {name!r} has the type {dtype}. Expected one of {', '.join(FIELDS)}.")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    number = shape[0] if shape else -1
    if number < 0 or shape not in ([number], [number, 1]):
        raise DataError(f"Input {name!r} has the shape {shape}. Expected [n] or [n, 1], one value per row.")
    if number > MAX_ROWS:  # before a tensor of one repeated value is written out
        raise TooLargeError(f"The request holds {number:,} rows; at most {MAX_ROWS:,} fit. Send several requests.")
    field, packed = FIELDS[dtype]
    found = _unpacked(name, tensor.tensor_content, packed) if tensor.tensor_content else list(getattr(tensor, field))
    if found and len(found) < number and not tensor.tensor_content:
        found += found[-1:] * (number - len(found))  # a tensor may leave out what repeats its last value
    if len(found) != number:
        raise DataError(f"Input {name!r} has the shape {shape}, and {len(found):,} values. Send one value per row.")
    return found


def fill(tensor: Any, scores: Sequence[Any], num_outputs: int) -> None:
    """Write scores as floats into an empty TensorProto: shape [n], or [n, k] with several outputs."""
    tensor.dtype = protos.numbers("tensorflow.DataType")["DT_FLOAT"]
    shape = [len(scores), num_outputs] if num_outputs > 1 else [len(scores)]
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend(np.asarray(scores, np.float32).ravel().tolist())


def _unpacked(name: str, content: bytes, packed: str) -> list[Any]:
    if not packed or len(content) % np.dtype(packed).itemsize:
        raise DataError(f"Input {name!r}: tensor_content holds {len(content)} bytes, no whole number of values of its type.")
    return list(np.frombuffer(content, packed).tolist())
