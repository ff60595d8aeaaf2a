"""A whole stack, real in every part, shared by the end-to-end tests."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from ml.embedded.progress import Progress
from ml.embedded.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, MLflow, Airflow and the prediction service, on ports of their own; stopped at the end."""
    running = Stack(tmp_path_factory.mktemp("stack"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def progress() -> Progress:
    """Shows nothing; what it says can be read with `progress.console.file.getvalue()`."""
    return Progress(Console(file=io.StringIO(), width=200))
