"""The search for secrets finds them where they could stand, so that finding none means something."""

import zipfile
from contextlib import closing

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.security import leaks

WORD = {"the token": "PLANTED-0815"}


def test_a_word_is_found_in_plain_packed_and_compressed_files(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "task.log").write_text("asked with PLANTED-0815\n")
    pq.write_table(pa.table({"note": ["PLANTED-0815 " * 3] * 100}), tmp_path / "rows.parquet", compression="zstd")
    with zipfile.ZipFile(tmp_path / "packed.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", "PLANTED-0815" * 9)
    (tmp_path / "secrets.json").write_text("PLANTED-0815")
    (tmp_path / "clean.txt").write_text("PLANTED-0816")
    found = leaks.in_files(leaks.files(tmp_path, but=("secrets.json",)), WORD)
    names = ("logs/task.log", "packed.npz", "rows.parquet")
    assert sorted(found) == [f"the token in {tmp_path / name}" for name in names]


@pytest.mark.parametrize("kind", ["text", "jsonb", "bytea"])
def test_a_word_is_found_in_any_table(database, kind):
    url = database("leaks")
    value = {"text": "'a PLANTED-0815'", "jsonb": """'{"a": ["PLANTED-0815"]}'""", "bytea": "'a PLANTED-0815'"}[kind]
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE clean (a {kind}); CREATE TABLE held (a int, b {kind}); INSERT INTO held VALUES (1, {value})"
        )
    assert leaks.in_database(url, WORD) == ["the token in held"]
