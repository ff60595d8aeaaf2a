"""Airflow writes its configuration where AIRFLOW_HOME says, at the first import: not into the home of who runs the tests."""

import os
import tempfile

HOME = tempfile.TemporaryDirectory(prefix="airflow-of-tests-")  # goes when the tests end
os.environ.setdefault("AIRFLOW_HOME", HOME.name)
