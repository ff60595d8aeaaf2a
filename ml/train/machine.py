"""What a training runs on: the same seed and rows give the same bits only where all of this is the same."""

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

from ml.settings import PROJECT

TOOLS = ("keras", "numpy", "pyarrow", "tensorflow")
LOCK = PROJECT / "requirements.txt"


def settle(threads: int) -> None:
    """Give TensorFlow a fixed number of threads; only a process in which it has computed nothing yet can be settled."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def about(threads: int) -> dict[str, str]:
    """CPU type, threads, oneDNN, versions, and the digest of the lock, each as text."""
    return {
        "cpu": _cpu(),
        "threads": str(threads),
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "python": platform.python_version(),
        **{name: version(name) for name in TOOLS},
        "lock": hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.exists() else "none",
    }


def _cpu() -> str:
    """The CPU's model; Linux tells it, elsewhere the architecture has to do."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    known = [named[key] for key in ("model name", "cpu family", "model", "stepping") if key in named]
    return " ".join([*known, platform.machine()])
