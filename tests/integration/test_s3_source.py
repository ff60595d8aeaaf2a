"""Objects of a real S3 server as a source, and the same rows from every kind of source as equal Delta tables."""

import os

import psycopg2
import pytest

from ml import source
from ml.errors import ConfigError, DataError, TransientError
from ml.source import files, s3
from ml.tables import Table
from ml.window import Window
from tests.integration.files_kit import FORMATS, NOW, ROWS, SEEN, WINDOW, as_csv, as_parquet, keys, problem, read, row


@pytest.fixture
def put(s3, bucket):
    """Call it with a name and the content of an object."""
    return lambda name, content: s3.client().put_object(Bucket=bucket, Key=name, Body=content)


@pytest.mark.parametrize("suffix", FORMATS)
def test_objects_come_over_as_files_do(put, bucket, suffix):
    put(f"exports/flights{suffix}", FORMATS[suffix](ROWS))
    put("exports/empty-folder/", b"")
    assert keys(read(problem(f"s3://{bucket}/exports/*{suffix}"))) == SEEN


def test_patterns_mean_what_they_mean_on_disk(put, bucket, tmp_path):
    names = ["a/1.csv", "a/b/2.csv", "a/b/c/3.csv", "a/.hidden/4.csv", "a/.5.csv", "ab/6.csv", "a/x+y.csv", "a/b/[1].csv"]
    for number, name in enumerate(names):
        put(name, as_csv([row(f"k{number}")]))
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(as_csv([row(f"k{number}")]))
    for pattern in ("a/*.csv", "a/**/*.csv", "a/", "**/*.csv", "a*/?.csv", "a/b/*/3.csv", "a/[!x]*.csv", "a/.*.csv", "a/x+y.csv"):
        assert keys(read(problem(f"s3://{bucket}/{pattern}"))) == keys(read(problem(f"{tmp_path}/{pattern}"))), pattern


def test_an_object_is_read_piece_by_piece(put, bucket, monkeypatch):
    """More than one request of 8 MB, so memory does not hold it whole; CSV and Parquet."""
    texts = [row(f"k{number}", carrier=os.urandom(3000).hex()) for number in range(4000)]
    put("big/1.csv", as_csv(texts))
    put("big/2.parquet", as_parquet([one | {"flight_id": "p" + one["flight_id"]} for one in texts], row_group_size=500))
    asked, get = [], s3._Ranges._get

    def counted(self, start, end):
        asked.append(end - start)
        return get(self, start, end)

    monkeypatch.setattr(s3._Ranges, "_get", counted)
    seen = read(problem(f"s3://{bucket}/big/*"))
    assert seen.num_rows == 8000
    assert set(seen["carrier"].to_pylist()) == {one["carrier"] for one in texts}
    assert max(asked) <= 8 << 20 and len(asked) > 5


def test_parts_of_a_parquet_object_that_lie_elsewhere_are_not_asked_for(put, bucket, monkeypatch):
    places = [(day, number) for day in range(1, 21) for number in range(500)]
    days = [row(f"{d}-{n}", f"2013-01-{d:02d}T12:00:00-05:00", carrier=os.urandom(2000).hex()) for d, n in places]
    content = as_parquet(days, row_group_size=500)
    put("x.parquet", content)
    asked, get = [], s3._Ranges._get

    def counted(self, start, end):
        asked.append(end - start)
        return get(self, start, end)

    monkeypatch.setattr(s3._Ranges, "_get", counted)
    assert read(problem(f"s3://{bucket}/x.parquet")).num_rows == 500
    assert sum(asked) < len(content) / 2


def test_an_object_that_is_replaced_while_it_is_read_is_worth_a_retry(put, bucket, s3):
    put("1.csv", as_csv(ROWS))
    put("2.csv", as_csv([row("z")]))
    with files.read(problem(f"s3://{bucket}/*.csv"), WINDOW, now=NOW) as rows:
        put("1.csv", as_csv(ROWS[:1]))
        with pytest.raises(TransientError, match=r"s3://.*1\.csv was changed while the source was read"):
            next(rows.batches)
    with files.read(problem(f"s3://{bucket}/*.csv"), WINDOW, now=NOW) as rows:
        s3.client().delete_object(Bucket=bucket, Key="1.csv")
        with pytest.raises(TransientError, match=r"s3://.*1\.csv was changed while"):
            next(rows.batches)


def test_what_is_wrong_with_the_address_or_the_server_is_told(put, bucket, monkeypatch):
    put("1.csv", as_csv(ROWS))
    about = problem(f"s3://{bucket}/*.csv")
    with pytest.raises(DataError, match=r"No file matches s3://.*/elsewhere/\*\.csv"):
        read(problem(f"s3://{bucket}/elsewhere/*.csv"))
    with pytest.raises(ConfigError, match="There is no bucket 'nowhere'"):
        read(problem("s3://nowhere/*.csv"))
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(ConfigError, match="refuses these keys"):
            read(about)
    with files.read(about, WINDOW, now=NOW) as rows, monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(TransientError, match="does not answer"):
            next(rows.batches)
    assert keys(read(about)) == SEEN


@pytest.fixture
def by_postgres(database):
    url = database("by_postgres")
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE flights (flight_id text, sched_dep timestamptz, late_15 boolean, outcome_at timestamptz,"
            " available_at timestamptz, carrier text, distance double precision)"
        )
        names = list(ROWS[0])
        places = ", ".join(f"%({name})s" for name in names)
        cursor.executemany(f"INSERT INTO flights ({', '.join(names)}) VALUES ({places})", ROWS)
    connection.close()
    return url


MONTH = Window.parse("2013-01-01/2013-02-01")


@pytest.mark.parametrize("place", ["disk", "s3"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_source_makes_the_same_table(by_postgres, put, bucket, tmp_path, place, suffix):
    content = FORMATS[suffix](ROWS)
    put(f"flights{suffix}", content)
    (tmp_path / f"flights{suffix}").write_bytes(content)
    about = problem(f"s3://{bucket}/*{suffix}" if place == "s3" else f"{tmp_path}/*{suffix}")
    in_a_table = about.source.model_copy(update={"kind": "postgres", "table": "flights", "pattern": None})
    tables = [
        content_of(Table(str(tmp_path / asked.source.kind)), by_postgres, asked)
        for asked in (about.model_copy(update={"source": in_a_table}), about)
    ]
    assert tables[0].schema == tables[1].schema
    assert tables[0].num_rows == 6
    assert str(tables[0].to_pylist()) == str(tables[1].to_pylist())  # as text, in which NaN equals NaN


def content_of(table, url, about):
    with source.read(url, about, MONTH, now=NOW) as rows:
        staged = table.stage(rows.batches, rows.schema)
    table.commit(staged, MONTH, note={})
    return table.read(MONTH).sort_by("flight_id")
