"""Airflow imports this module in every component.

In the scheduler it imports the heavy libraries once: LocalExecutor's workers are forks of the scheduler, so a task finds
them in memory instead of paying seconds and hundreds of megabytes each. Importing starts no thread pool of TensorFlow's;
that happens with the first operation, which belongs into the tasks.
"""

import gc
import importlib
import sys

HEAVY = (
    "pandas",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "deltalake",
    "sklearn.linear_model",
    "sklearn.metrics",
    "matplotlib.figure",
    "tensorflow",
    "keras",
    "great_expectations",
    "evidently",
    "evidently.presets",
    "mlflow",
    "mlflow.pyfunc",
)

if "scheduler" in sys.argv:
    for name in HEAVY:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a fork would otherwise touch, and so copy, every page of these modules
