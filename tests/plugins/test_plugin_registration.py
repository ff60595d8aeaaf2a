"""Airflow finds the plugin, and only it."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

LIST = """
import sys
from airflow import plugins_manager
plugins, _ = plugins_manager._get_plugins()
print("plugins", sorted(plugin.name for plugin in plugins if "retraining" in str(plugin.source)))
print("errors", plugins_manager.get_import_errors())
print("strays", sorted({"edge", "assets", "problems", "defaults", "forms"} & set(sys.modules)))
"""


def test_airflow_registers_the_plugin_and_does_not_run_the_packages_files_one_by_one(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environment |= {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins")}
    environment |= {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", LIST], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "plugins ['retraining']" in done.stdout
    assert "errors {}" in done.stdout
    assert "strays []" in done.stdout
