"""The losses as TensorBoard shows them; TensorFlow writes its files without TensorBoard being installed."""

from pathlib import Path

import numpy as np


def write(folder: Path, history: dict[str, list[float]]) -> None:
    """One scalar per name and epoch, epochs from 1 on; a loss that is not known is left out."""
    import tensorflow as tf

    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    kind = tf.compat.v1.SummaryMetadata(plugin_data=plugin)
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for name, values in history.items():
            for epoch, value in enumerate(values, start=1):
                if np.isfinite(value):
                    tf.summary.write(f"epoch/{name}", tf.constant(value, tf.float32), step=epoch, metadata=kind)
    writer.close()
