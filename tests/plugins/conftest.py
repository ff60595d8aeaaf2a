"""Airflow writes its configuration where AIRFLOW_HOME says, at the first import: not into the home of who runs the tests."""

import os
import tempfile

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-of-tests-")
