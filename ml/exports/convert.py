"""The trained network, from packed arrays to answers, as a file of another runtime."""

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Arrays = Mapping[str, npt.NDArray[Any]]
PRUNED = ("hidden", "head", "wide")  # first words of the names of layers whose kernels are thinned out


def litert(core: "keras.Model", how: str, *, representative: Arrays, pruned_share: float) -> bytes:
    """A LiteRT model of float32, or smaller.

    Args:
        how: litert; litert_float16 keeps weights as halves; litert_int8 keeps them as bytes and computes in float (dynamic
            range); litert_int8_full computes in bytes, whose ranges it learns from `representative` rows; litert_pruned leaves
            out the smallest weights.
        pruned_share: of the weights of each dense layer.
    Raises: RuntimeError, ValueError, ConverterError: the converter cannot do it.
    """
    import tensorflow as tf

    network = pruned(core, pruned_share) if how == "litert_pruned" else core
    with _quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([_frozen(network)], network)
        if how == "litert_pruned":
            converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        elif how != "litert":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if how == "litert_float16":
            converter.target_spec.supported_types = [tf.float16]
        if how == "litert_int8_full":
            converter.representative_dataset = lambda: _batches(core, representative)
        return bytes(converter.convert())


def onnx(core: "keras.Model") -> bytes:
    """An ONNX model; inputs by the names of the packed arrays.

    Raises: RuntimeError, ValueError: the converter cannot do it.
    """
    with tempfile.TemporaryDirectory(prefix="onnx-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the converter speaks to an older NumPy
        core.export(str(Path(folder, "core.onnx")), format="onnx", verbose=False)
        return Path(folder, "core.onnx").read_bytes()


def pruned(core: "keras.Model", share: float) -> "keras.Model":
    """A copy without the smallest weights of each dense layer, by magnitude (Han et al. 2015), not trained again."""
    import keras

    twin = keras.models.clone_model(core)
    twin.set_weights(core.get_weights())
    for layer in twin.layers:
        if layer.name.split("_")[0] in PRUNED and layer.get_weights():
            kernel, *bias = layer.get_weights()
            small = np.abs(kernel) < np.quantile(np.abs(kernel), share)
            layer.set_weights([np.where(small, np.float32(0), kernel), *bias])
    return twin


def _frozen(core: "keras.Model") -> "tf.types.experimental.ConcreteFunction":
    """The network with its weights as constants; without that the converter leaves them out."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = {tensor.name: tf.TensorSpec([None, tensor.shape[1]], tensor.dtype, tensor.name) for tensor in core.inputs}
    call = tf.function(lambda **packed: core(packed, training=False), autograph=False).get_concrete_function(**specs)
    return convert_variables_to_constants_v2(call)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of what Keras keeps beside the graph, and of the calibrator's own interpreter being old."""
    import tensorflow as tf

    log, level = tf.get_logger(), tf.get_logger().level
    log.setLevel("ERROR")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        log.setLevel(level)


def _batches(core: "keras.Model", rows: Arrays, size: int = 50) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Rows in small batches, as the calibration takes them."""
    names = [tensor.name for tensor in core.inputs]
    for start in range(0, len(rows[names[0]]), size):
        yield {name: rows[name][start : start + size] for name in names}
