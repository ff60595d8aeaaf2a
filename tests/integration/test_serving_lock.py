"""The service in an environment of its own, as its image holds it: what requirements-serving.txt pins, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.problem import Serving
from ml.serving.schemas import Version
from ml.settings import PROJECT
from ml.store import digest
from tests.integration.serving_kit import Service, running
from tests.unit import exports_kit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ABSENT = ("tensorflow", "keras", "airflow", "mlflow", "pandas", "sklearn", "pytest")


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """An interpreter that has only what the image has."""
    home = tmp_path_factory.mktemp("image") / "venv"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, home], check=True)
    lock, found = PROJECT / "requirements-serving.txt", str(home / "bin" / "python")
    subprocess.run([uv, "pip", "install", "--quiet", "--require-hashes", "-r", lock, "--python", found], check=True)
    return found


def test_the_lock_of_the_image_is_all_that_the_service_needs(python, database, tmp_path):
    found = f"import importlib.util as u; print([name for name in {ABSENT!r} if u.find_spec(name)])"
    assert subprocess.run([python, "-c", found], capture_output=True, text=True, check=True).stdout == "[]\n"
    service = Service(tmp_path, database("image"), python=python, workers=2)
    service.add_problem("p")
    folder = service.store / "p" / "runs" / "r" / "model"
    folder.parent.mkdir(parents=True)
    exports_kit.make(folder, "binary", Serving())
    wanted = Version(version=1, run_key="r", model_digest=digest(folder))
    example = json.loads((folder / "example.json").read_text())
    with running(service):
        put = service.put("p", wanted)
        assert put.status_code == 200, put.text
        answer = service.predict("p", example["rows"]).json()
        assert [one["score"] for one in answer["predictions"]] == pytest.approx(example["scores"], abs=1e-5)
        assert service.health()["complaints"] == []
        service.wait_logged()
