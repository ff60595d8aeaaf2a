"""Where given words stand: in files, inside Parquet and archives too, and in the tables of a database."""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg2 import sql

TABLES = """
    SELECT table_schema, table_name FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"""


def files(folder: Path, *, but: tuple[str, ...] = ()) -> list[Path]:
    """All files below a folder, without those of the named files and folders."""
    named = [folder / one for one in but]
    return [path for path in folder.rglob("*") if path.is_file() and not any(path.is_relative_to(one) for one in named)]


def in_files(paths: Iterable[Path], words: Mapping[str, str]) -> list[str]:
    """Each finding as "name in path"; files that vanish meanwhile hold nothing any more."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            texts = list(_contents(path))
            found += [f"{name} in {path}" for name, word in words.items() if any(word.encode() in text for text in texts)]
    return found


def _contents(path: Path) -> Iterator[bytes]:
    yield path.read_bytes()
    if path.suffix == ".parquet":
        for column in pq.read_table(path).columns:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield "\n".join(filter(None, pc.unique(column).to_pylist())).encode()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def in_database(url: str, words: Mapping[str, str]) -> list[str]:
    """Each finding as "name in table"; bytes are searched as what they are, and so is the text in JSON."""
    found = []
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
        for schema, table in cursor.fetchall():
            query = sql.SQL("SELECT bool_or(strpos(t::text, %s) > 0 OR strpos(t::text, %s) > 0) FROM {} t")
            for name, word in words.items():
                cursor.execute(query.format(sql.Identifier(schema, table)), (word, word.encode().hex()))
                found += [f"{name} in {table}"] * bool(cursor.fetchone()[0])  # type: ignore[index]
    return found
