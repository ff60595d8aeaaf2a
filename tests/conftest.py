"""Real parts shared by all tests: one PostgreSQL server per session, a fresh database for whoever asks."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from ml.embedded.postgres import OWNER, READER, Postgres
from ml.embedded.processes import free_port
from tests.object_store import ObjectStore

TOGETHER = ("tests/dags/", "tests/e2e/", "tests/integration/protocols/")
hypothesis.settings.register_profile("steady", deadline=None)  # a busy machine is no finding
hypothesis.settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)  # only where several processes share the tests
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file of tests stays in one process, and so do those that share a scheduler or a service: its start costs more."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            whole = [folder for folder in TOGETHER if nodeid.startswith(folder)]
            return whole[0] if whole else str(super()._split_scope(nodeid))

    return ByFile(config, log)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running server with the roles and databases of the embedded stack."""
    home: Path = tmp_path_factory.mktemp("postgres")
    server = Postgres(home, free_port(0), {"postgres": "for-tests", OWNER: "for-tests", READER: "for-tests"})
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """Address of the server's database `evergreen`, as the owner."""
    return postgres.url("evergreen")


@pytest.fixture(scope="session")
def database(postgres: Postgres) -> Callable[[str], str]:
    """Call it with a name to get the address of an empty database; the same name again gives another one."""
    numbers = itertools.count(1)

    def create(name: str) -> str:
        return postgres.create_database(f"{name}_{next(numbers)}")

    return create


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A running S3 server."""
    server = ObjectStore(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an empty bucket; the environment leads boto3, Delta and programs that the test starts to its server."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.bucket()
