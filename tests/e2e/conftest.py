"""A whole stack, real in every part, shared by the end-to-end tests."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from ml.embedded import demo
from ml.embedded.environment import Ports
from ml.embedded.progress import Progress
from ml.embedded.stack import Stack
from ml.settings import PROJECT


@pytest.fixture(scope="package")  # a scheduler that idles still costs a tenth of a core
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, MLflow, Airflow and the prediction service, on ports of their own; stopped at the end."""
    home = tmp_path_factory.mktemp("stack")
    shutil.copytree(PROJECT / "ml" / "problems", home / "problems")  # tests add problems of their own
    planted = {"AWS_ACCESS_KEY_ID": "PLANTED-AWS-KEY-ID-7c1e", "AWS_SECRET_ACCESS_KEY": "PLANTED-AWS-SECRET-93ba"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in planted.items():  # every part of the stack inherits them
            environment.setenv(name, value)
        yield from _stack(home)


def _stack(home: Path) -> Iterator[Stack]:
    running = Stack(home, problems=home / "problems", preferred=Ports(airflow=0, mlflow=0, serving=0, postgres=0))
    try:
        running.start()
        demo.load(running, "flights", None, Progress(Console(file=io.StringIO())))
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def progress() -> Progress:
    """Shows nothing; what it says can be read with `progress.console.file.getvalue()`."""
    return Progress(Console(file=io.StringIO(), width=200))
