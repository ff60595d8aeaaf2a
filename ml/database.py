"""Postgres behind one door: an error that comes out of here says who can mend it. The state's schema is made here too."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy as sa
from psycopg2 import extensions
from sqlalchemy.pool import NullPool

from ml.errors import ConfigError, EvergreenError, TransientError

MIGRATIONS = Path(__file__).resolve().parent / "ledger" / "migrations"
CONNECT_TIMEOUT_S = 10
LOCK = 0x4556_4552  # any number that is ours: migrations wait for each other on this advisory lock
AWAY = ("08", "53", "57", "40", "55P03")  # SQLSTATEs: connection lost, out of room, ended by an operator, lost a race or a lock
FORBIDDEN = ("28", "3D000", "42501")  # wrong login, no such database, no privilege
# A refused login carries no SQLSTATE in psycopg2, only the server's words.
FORBIDDEN_WORDS = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|permission denied"
    r"|(role|database) \".*\" does not exist|is not permitted to log in"
)


class _Cursor(extensions.cursor):
    """Every statement tells a lost connection and a missing privilege in our words."""

    def execute(self, query: Any, vars: Any = None) -> None:
        with _telling(self.connection):
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        with _telling(self.connection):
            super().executemany(query, vars_list)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        with _telling(self.connection):
            super().copy_expert(sql, file, size)


class _Connection(extensions.connection):
    """Knows where it leads, without the password."""

    where = "The database"

    def commit(self) -> None:
        with _telling(self):
            super().commit()

    def rollback(self) -> None:
        with _telling(self):
            super().rollback()


def connect(url: str) -> extensions.connection:
    """A psycopg2 connection to `postgresql://[user[:password]@]host[:port]/database`.

    Only lost connections, refused logins and missing privileges are told in our words; an SQL error (a missing table,
    say) stays psycopg2's own, because the caller knows what it means.

    Raises:
        TransientError: the server is away, or the connection is lost while in use.
        ConfigError: wrong password, role, database or privilege, or no Postgres address.
    """
    address = _address(url)
    try:
        connection = psycopg2.connect(libpq(url), connection_factory=_Connection, cursor_factory=_Cursor)
    except psycopg2.OperationalError as error:
        raise _translated(error, _place(address)) or error from error
    connection.where = _place(address)
    return connection


def libpq(url: str) -> str:
    """The address as PostgreSQL's own library takes it, with a limit to how long connecting may take.

    Names and values and no URL: libraries differ in what they take for a blank there, and repeat the password in what they say.

    Raises: ConfigError: no Postgres address.
    """
    address = _address(url)
    if address.get_backend_name() != "postgresql":
        raise ConfigError(f"{_place(address)} is no Postgres address. Write postgresql://user:password@host:port/database.")
    named: dict[str, Any] = {"host": address.host, "port": address.port, "user": address.username, "password": address.password}
    named |= {"dbname": address.database, "connect_timeout": CONNECT_TIMEOUT_S}
    named |= {name: value if isinstance(value, str) else ",".join(value) for name, value in address.query.items()}
    try:
        return str(extensions.make_dsn(**{name: value for name, value in named.items() if value}))
    except psycopg2.ProgrammingError as error:  # of an option that is none, which it names
        raise ConfigError(f"{_place(address)}: {str(error).strip()}. Correct what follows the ? in the address.") from error


def never_made(what: str) -> ConfigError:
    """What to say when the state's tables are not there; `what` is what was looked for, such as "ledger"."""
    return ConfigError(
        f"The database of the state has no {what} yet. EVERGREEN_DATABASE_URL names the wrong database, or its tables "
        "were never made: `make demo` makes them, and so does ml.database.migrate(url)."
    )


def engine(url: str) -> sa.Engine:
    """An SQLAlchemy engine for Postgres or SQLite; it keeps no connection open between uses, so it survives forks.

    Using it raises what `connect` raises. On SQLite a transaction takes the write lock at once under the execution
    option `sqlite_begin="IMMEDIATE"`.
    """
    address = _address(url)
    if address.get_backend_name() == "sqlite":
        made = sa.create_engine(address, poolclass=NullPool, connect_args={"timeout": 30})
        _begin_ourselves(made)
    else:
        address = address.set(drivername="postgresql+psycopg2")
        made = sa.create_engine(address, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    place = _place(address)

    def tell(context: sa.engine.ExceptionContext) -> EvergreenError | None:
        return _translated(context.original_exception, place, lost=context.is_disconnect)

    sa.event.listen(made, "handle_error", tell)
    return made


def migrate(url: str, to: str = "head") -> None:
    """Bring the state's tables (`ledger`, `work`, `request_log`, `feedback`, `api_key`) to the newest schema, or up to another
    one; at it it does nothing.

    Safe at every start, also of two processes at once: the second waits, then finds nothing to do.

    Raises: ConfigError, TransientError: as `connect`.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine(url).execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, to)


@contextmanager
def only_one(url: str, lock: int, name: str) -> Iterator[bool]:
    """Whether nobody else is inside for that name; whoever comes meanwhile is told no, and does not wait.

    On SQLite the answer is always yes.

    Raises: ConfigError, TransientError: as `connect`.
    """
    with engine(url).connect() as connection:
        # it ends with the connection, so also with a killed process
        asked = sa.select(sa.func.pg_try_advisory_lock(lock, sa.func.hashtext(name)))
        yield bool(connection.scalar(asked)) if connection.dialect.name == "postgresql" else True


@contextmanager
def reading(url: str) -> Iterator[extensions.connection]:
    """A connection that cannot write and sees one moment of the database throughout; closed at the end.

    Raises: ConfigError, TransientError: as `connect`.
    """
    connection = connect(url)
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        yield connection
    finally:
        connection.close()


@contextmanager
def _telling(connection: Any) -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        told = _translated(error, getattr(connection, "where", ""), lost=connection.closed != 0)
        if told is None:
            raise
        raise told from error


def _translated(error: BaseException, place: str, *, lost: bool = False) -> EvergreenError | None:
    """The error in our words, None when it is the caller's own."""
    code = getattr(error, "pgcode", None) or ""
    text = " ".join(str(error).split())
    away = isinstance(error, psycopg2.OperationalError) and not code
    if code.startswith(FORBIDDEN) or (away and FORBIDDEN_WORDS.search(text)):
        return ConfigError(f"{place} said no: {text}. Correct the user, password or database in the address, or grant the right.")
    if away or lost or code.startswith(AWAY) or "database is locked" in text:
        return TransientError(
            f"{place} is away or busy: {text}. Start it or wait, then run this again; nothing was half-written."
        )
    if "unable to open database file" in text:
        return ConfigError(f"{place} cannot be opened. Create its folder, or correct the address.")
    return None


def _address(url: str) -> sa.URL:
    try:
        address = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # the text may hold a password, so it is not repeated
        address = None
    if address is None or "@" in (address.host or ""):
        raise ConfigError(
            "The database address cannot be read. Write postgresql://user:password@host:port/database, and %40 for an @ in the "
            "password; several hosts as ?host=one,other&port=5432,5432."
        )
    return address


def _place(address: sa.URL) -> str:
    if address.get_backend_name() == "sqlite":
        return f"The SQLite file {address.database}"
    user = f" as user {address.username}" if address.username else ""
    return f"The database {address.database!r} on {address.host or 'localhost'}:{address.port or 5432}{user}"


def _begin_ourselves(made: sa.Engine) -> None:
    """Let SQLAlchemy send BEGIN: sqlite3 by itself begins too late for a lock to cover what was read before."""

    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', '')}")

    sa.event.listen(made, "connect", connected)
    sa.event.listen(made, "begin", begun)
