"""Files as a source: the same rows as from a table, and every kind of broken file told with its name."""

import gzip
import os
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.errors import DataError, TransientError
from ml.source import files
from ml.window import Window, local_day
from tests.integration.files_kit import (
    FORMATS,
    NOW,
    ROWS,
    SEEN,
    WINDOW,
    as_csv,
    as_jsonl,
    as_parquet,
    at,
    keys,
    problem,
    read,
    row,
)  # fmt: skip

HOUR = timedelta(hours=1)


def put(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


@pytest.fixture
def about(tmp_path):
    return problem(f"{tmp_path}/*")


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_of_the_window_known_now_come_over_exactly(tmp_path, about, suffix):
    put(tmp_path, f"flights{suffix}", FORMATS[suffix](ROWS))
    rows = {one["flight_id"]: one for one in read(about).to_pylist()}
    assert sorted(rows) == SEEN
    assert {one["_day"] for one in rows.values()} == {"2013-01-05"}
    assert [rows[key]["carrier"] for key in SEEN] == ["UA", "", None, 'quo"te,\nline', "äöü 漢"]
    assert [str(rows[key]["distance"]) for key in SEEN] == ["100.0", "100.0", "None", "nan", "-inf"]
    assert [rows[key]["late_15"] for key in SEEN] == [True, None, False, None, None]
    assert [rows[key]["outcome_at"] for key in SEEN] == [ROWS[0]["outcome_at"], None, ROWS[4]["outcome_at"], None, None]
    assert rows["a"]["sched_dep"] == ROWS[0]["sched_dep"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_later_moment_sees_rows_and_labels_that_came_meanwhile(tmp_path, about, suffix):
    put(tmp_path, f"flights{suffix}", FORMATS[suffix](ROWS))
    seen = read(about, now=at("2013-03-01T00:00:00+00:00"))
    assert keys(seen) == ["a", "b", "d", "e", "f", "g"]
    assert dict(zip(seen["flight_id"].to_pylist(), seen["late_15"].to_pylist(), strict=True))["b"] is True
    assert keys(read(about, Window.parse("2013-01-06"))) == ["c"]
    assert keys(read(about, Window.parse("2013-01-01/2013-02-01"))) == sorted([*SEEN, "c"])


def test_a_pattern_takes_many_files_of_any_format_and_no_hidden_ones(tmp_path):
    for number, (suffix, written) in enumerate(FORMATS.items()):
        put(tmp_path, f"year/{'month/' * (number % 3)}{number}{suffix}", written([row(f"k{number}")]))
    put(tmp_path, "year/.hidden.csv", b"broken")
    put(tmp_path, "year/.hidden/x.csv", b"broken")
    everything = [f"k{number}" for number in range(len(FORMATS))]
    for pattern in (f"{tmp_path}/**/*", f"{tmp_path}/", str(tmp_path), f"{tmp_path}/year/**/*.*"):
        assert keys(read(problem(pattern))) == everything
    assert keys(read(problem(f"{tmp_path}/year/*.csv"))) == ["k0"]
    assert keys(read(problem(f"{tmp_path}/year/**/[01].csv*"))) == ["k0", "k1"]


def test_times_without_zone_are_local_to_the_problem_also_where_clocks_change(tmp_path, database):
    """What PostgreSQL makes of the same texts is what they mean."""
    import psycopg2

    texts = [
        *("2013-03-10 01:59:59", "2013-03-10 02:30:00", "2013-03-10 03:00:00", "2013-11-03 01:30:00", "2013-07-04"),
        *("2013-07-04T18:05:00.123456", "2013-07-04 18:05:00+02", "2013-07-04 18:05:00-0330", "2013-07-04T22:05:00Z"),
    ]
    connection = psycopg2.connect(database("times"))
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'America/New_York'")
        cursor.execute("SELECT (t::timestamptz)::text, extract(epoch FROM t::timestamptz)::float8 FROM unnest(%s) t", [texts])
        expected = [epoch for _, epoch in cursor.fetchall()]
    connection.close()
    lines = "".join(f"k{number},{text},,,,UA,1\n" for number, text in enumerate(texts))
    put(tmp_path, "x.csv", f"{','.join(ROWS[0])}\n{lines}".encode())
    seen = read(problem(f"{tmp_path}/*"), Window.parse("2013-01-01/2014-01-01")).sort_by("flight_id")
    assert [moment.timestamp() for moment in seen["sched_dep"].to_pylist()] == expected
    assert seen["_day"].to_pylist()[:3] == ["2013-03-10"] * 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_of_a_key_in_several_files_the_last_updated_row_counts(tmp_path, suffix):
    early, late = at("2013-01-05T13:00:00+00:00"), at("2013-01-05T14:00:00+00:00")
    first = [row("a", carrier="new", updated=late), row("b", carrier="only", updated=early)]
    second = [row("a", carrier="old", updated=early), row("c", carrier="only", updated=None)]
    put(tmp_path, f"1{suffix}", FORMATS[suffix]([*first, row("c", carrier="later", updated=early)]))
    put(tmp_path, f"2{suffix}", FORMATS[suffix](second))
    names = {"updated_at": "updated"}
    seen = read(problem(f"{tmp_path}/*", **names))
    assert sorted(zip(seen["flight_id"].to_pylist(), seen["carrier"].to_pylist(), strict=True)) == [
        ("a", "new"), ("b", "only"), ("c", "later")
    ]  # fmt: skip
    plain = read(problem(f"{tmp_path}/*"))
    assert sorted(zip(plain["flight_id"].to_pylist(), plain["carrier"].to_pylist(), strict=True)) == [
        ("a", "old"), ("b", "only"), ("c", "only")
    ]  # fmt: skip


def test_a_key_twice_in_one_file_and_rows_without_key_are_left_to_the_validation(tmp_path, about):
    put(tmp_path, "1.csv", as_csv([row("a"), row("a"), row(None), row(None)]))
    put(tmp_path, "2.csv", as_csv([row("b"), row(None)]))
    assert sorted(map(str, read(about)["flight_id"].to_pylist())) == ["None", "None", "None", "a", "a", "b"]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("no", "yes"),
    [(False, True), (None, at("2013-01-06T07:00:00+00:00")), (at("2013-01-06T09:00:00+00:00"), at("2013-01-06T07:00:00+00:00"))],
    ids=["flag", "moment", "moment to come"],
)
def test_deleted_rows_are_counted_and_left_out_with_their_older_versions(tmp_path, suffix, no, yes):
    put(tmp_path, f"1{suffix}", FORMATS[suffix]([row("a", gone=no), row("b", gone=no), row("c", gone=yes)]))
    put(tmp_path, f"2{suffix}", FORMATS[suffix]([row("a", gone=yes), row("c", gone=no)]))
    with files.read(problem(f"{tmp_path}/*", deleted="gone"), WINDOW, now=NOW) as rows:
        assert sorted(key for batch in rows.batches for key in batch["flight_id"].to_pylist()) == ["b", "c"]
        assert rows.num_deleted == 1


def test_types_are_those_of_the_newest_file_and_of_every_file_that_differs(tmp_path, about):
    import pyarrow as pa
    import pyarrow.parquet as pq

    put(tmp_path, "1.parquet", as_parquet(ROWS))
    pq.write_table(pa.table({"flight_id": ["a"], "distance": [1], "extra": pa.nulls(1)}), tmp_path / "2.parquet")
    with files.read(about, WINDOW, now=NOW) as rows:
        assert rows.types == {"flight_id": "string", "distance": "double | int64", "extra": "null"}
        with pytest.raises(DataError, match=r"2\.parquet has no column 'sched_dep'; it has \['distance', 'extra', 'flight_id'\]"):
            next(rows.batches)
    for path in tmp_path.iterdir():
        path.unlink()
    put(tmp_path, "1.jsonl", b'{"flight_id": "a", "n": 1}\n{"list": [], "n": 2.5, "none": null}\n')
    put(tmp_path, "2.jsonl", b'{"flight_id": 1, "yes": true}\n')
    with files.read(about, WINDOW, now=NOW) as rows:
        names = {"flight_id": "number | text", "n": "number", "list": "array", "none": "null", "yes": "boolean"}
        assert rows.types == names
    put(tmp_path, "3.csv", b'\xef\xbb\xbfflight_id,"a,b"\n')
    with files.read(about, WINDOW, now=NOW) as rows:
        assert rows.types == {"flight_id": "number | text", "a,b": "text"}


def test_types_of_several_formats_side_by_side_go_by_the_names_that_all_share(tmp_path, about):
    shared = {"flight_id": "text", "sched_dep": "datetime", "late_15": "boolean", "outcome_at": "datetime",
              "available_at": "datetime", "carrier": "text", "distance": "number"}  # fmt: skip
    for name, suffix in ((1, ".csv"), (2, ".parquet"), (3, ".jsonl"), (4, ".parquet")):
        put(tmp_path, f"{name}{suffix}", FORMATS[suffix](ROWS))
        with files.read(about, WINDOW, now=NOW) as rows:
            assert rows.types == shared


def test_a_column_that_came_later_may_be_absent_from_files_of_other_days_only(tmp_path, about):
    names = [name for name in ROWS[0] if name != "carrier"]
    put(tmp_path, "1.csv", as_csv([row("x", "2013-01-01T12:00:00-05:00")], names))
    put(tmp_path, "2.csv", as_csv([row("a")]))
    assert keys(read(about)) == ["a"]
    with pytest.raises(DataError, match=r"1\.csv has no column 'carrier'; it has .*Name the column as the source does"):
        read(about, Window.parse("2013-01-01/2013-01-06"))


def test_further_columns_come_where_the_newest_file_has_them(tmp_path, about):
    put(tmp_path, "1.parquet", as_parquet([row("a", old="x", changed="x")]))
    seen = read(about, also={"old": "category", "older": "number", "changed": "number"})
    assert seen["old"].to_pylist() == ["x"] and not {"older", "changed"} & set(seen.column_names)


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_of_earlier_days_that_became_known_since_the_last_time_are_counted(tmp_path, about, suffix):
    known = {name: at(f"2013-01-05T{hour}:00:00+00:00") for name, hour in (("before", "10"), ("after", "20"))}
    early = [row(f"{day}-{name}", f"2013-01-0{day}T12:00:00-05:00", available_at=known[name]) for day in (2, 3) for name in known]
    put(tmp_path, f"1{suffix}", FORMATS[suffix](early))
    put(tmp_path, f"2{suffix}", FORMATS[suffix]([row("a"), row("x", "2013-01-01T12:00:00-05:00", available_at=NOW + HOUR)]))
    for since, expected in ((at("2013-01-05T15:00:00+00:00"), (2, date(2013, 1, 2))), (None, (0, None))):
        with files.read(about, WINDOW, now=NOW, since=since) as rows:
            assert [key for batch in rows.batches for key in batch["flight_id"].to_pylist()] == ["a"]
            assert (rows.num_late, rows.first_late) == expected


def test_parts_of_a_parquet_file_that_lie_elsewhere_are_not_read(tmp_path, about, monkeypatch):
    """Their bytes are broken on purpose: whoever reads them fails."""
    import pyarrow.parquet as pq

    days = [row(f"k{day}-{n}", f"2013-01-{day:02d}T12:00:00-05:00") for day in range(1, 11) for n in range(100)]
    content = bytearray(as_parquet(days, row_group_size=100, compression="none"))
    put(tmp_path, "x.parquet", bytes(content))
    groups = pq.ParquetFile(tmp_path / "x.parquet").metadata
    for number in (0, 1, 2, 7, 8, 9):
        first = groups.row_group(number).column(0)
        start = first.dictionary_page_offset or first.data_page_offset
        content[start : start + groups.row_group(number).total_byte_size] = b"\xff" * groups.row_group(number).total_byte_size
    put(tmp_path, "x.parquet", bytes(content))
    assert keys(read(about)) == sorted(f"k5-{n}" for n in range(100))
    with pytest.raises(DataError, match=r"x\.parquet cannot be read to its end"):
        read(about, Window.parse("2013-01-01"))


LINES = as_csv(ROWS).decode()
BROKEN = {
    "ragged": (".csv", LINES.replace('"UA",100.0', '"UA"', 1).encode(), r"Row #2: Expected 7 columns, got 6"),
    "a cell too many": (".csv", LINES.replace('"UA",100.0', '"UA",100.0,1', 1).encode(), r"Row #2: Expected 7 columns, got 8"),
    "open quote": (".csv", (LINES + 'z,2013-01-05,,,,UA,"1\n').encode(), r"quote characters, an odd number"),
    "word for a number": (".csv", LINES.replace(",100.0", ",abc", 1).encode(), r"Row 2 of .*: distance 'abc' is not a number"),
    "word for a time": (".csv", LINES.replace("2013-01-05 05:00:00+00:00", "soon").encode(), r"Row 2 of .*: sched_dep 'soon'"),
    "word for a label": (".csv", LINES.replace("true", "perhaps", 1).encode(), r"Row 2 of .*: late_15 'perhaps' is not true or"),
    "year 10000": (".csv", LINES.replace("2013-01-06 07:00:00+00:00", "10000-01-01").encode(), r"outcome_at '10000-01-01'"),
    "NUL": (".csv", LINES.replace('"UA"', '"U\0A"', 1).encode(), r"Row 2 of .*: carrier .*NUL"),
    "latin-1": (".csv", LINES.encode("utf-8").replace("ä".encode(), b"\xe4"), r"is not UTF-8 text"),
    "utf-16": (".csv", LINES.encode("utf-16"), r"is not UTF-8 text"),
    "no column": (".csv", LINES.replace("carrier", "carriers").encode(), r"no column 'carrier'.*Was it renamed to 'carriers'\?"),
    "column twice": (".csv", LINES.replace("distance", "carrier").encode(), r"two columns 'carrier'"),
    "semicolons": (".csv", LINES.replace(",", ";").encode(), r"has fields separated by ';'\. Export it with commas"),
    "empty": (".csv", b"", r"is empty"),
    "cut gz": (".csv.gz", gzip.compress(LINES.encode())[:-30], r"cannot be read to its end .*[Tt]runcated"),
    "no gz": (".csv.gz", LINES.encode(), r"cannot be read to its end"),
    "no zst": (".csv.zst", LINES.encode(), r"cannot be read to its end"),
    "line cut short": (".jsonl", as_jsonl(ROWS)[:-20], r"Line 7 of .* is no JSON .*one object per line"),
    "array": (".json", b"[" + as_jsonl(ROWS[:1]).strip() + b"]", r"Line 1 of .* is array, not a JSON object"),
    "text for a number": (
        ".jsonl",
        as_jsonl([row("a", distance="1,5")]),
        r"Line 1 of .*: distance '\\?\"1,5\\?\"' is not number",
    ),
    "number for a text": (".jsonl", as_jsonl([row("a"), row("b", sched_dep=17)]), r"Line 2 of .*: sched_dep '17' is not text"),
    "nested": (".jsonl", as_jsonl([row("a", carrier={"x": 1})]), r"Line 1 of .*: carrier .* is not boolean or number or text"),
    "NUL in JSON": (".jsonl", as_jsonl([row("a", carrier="U\0A")]), r"Line 1 of .*: carrier .*NUL"),
    "no name in any line": (".jsonl", b'{"flight_id": "a"}\n', r"has no column 'sched_dep'"),
    "empty JSON": (".jsonl", b"", r"is empty"),
    "cut Parquet": (".parquet", as_parquet(ROWS)[:-100], r"cannot be read to its end"),
    "no Parquet": (".parquet", b"PAR1 nothing", r"cannot be read to its end"),
    "unknown suffix": (".xlsx", b"PK", r"is of no known format. Names end with \.csv"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told_by_its_name_and_nothing_is_handed_on(tmp_path, about, case):
    suffix, content, words = BROKEN[case]
    put(tmp_path, "1.csv", as_csv([row("fine")]))
    put(tmp_path, f"2{suffix}", content)
    handed_on = []
    with pytest.raises(DataError, match=words) as told, files.read(about, WINDOW, now=NOW) as rows:
        handed_on.extend(rows.batches)
    assert f"2{suffix}" in str(told.value) and handed_on == []


@pytest.mark.parametrize(
    ("suffix", "content"), [(".csv", as_csv([row("anna\0")])), (".jsonl", as_jsonl([row(None, flight_id={"name": "anna"})]))]
)
def test_a_value_that_is_hidden_stands_in_no_error(tmp_path, about, suffix, content):
    put(tmp_path, f"1{suffix}", content)
    hidden = about.model_copy(update={"privacy": about.privacy.model_copy(update={"redact": {"flight_id": "hash"}})})
    with pytest.raises(DataError, match="flight_id holds a value, which is hidden, that is not") as told:
        read(hidden)
    assert "anna" not in str(told.value)


def test_a_parquet_column_of_another_type_is_told_before_rows_are_read(tmp_path, about):
    put(tmp_path, "1.parquet", as_parquet([one | {"distance": "far"} for one in ROWS], {}))
    with pytest.raises(DataError, match=r"Column 'distance' of .*1\.parquet is string, but the problem file needs it as number"):
        read(about)


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_that_no_night_would_read_are_counted(tmp_path, suffix):
    timeless = [row("x", None, available_at=None), row("y", None, available_at=None)]
    put(tmp_path, f"1{suffix}", FORMATS[suffix]([*ROWS, *timeless]))
    with pytest.raises(DataError, match=r"2 rows of .* have no sched_dep and no available_at, so no night would ever read them"):
        read(problem(f"{tmp_path}/*"))
    with pytest.raises(DataError, match=r"3 rows of .* have no sched_dep, so"):
        read(problem(f"{tmp_path}/*", available_at=None))


def test_what_is_written_in_the_wrong_place_is_told(tmp_path):
    with pytest.raises(DataError, match=r"No file matches .*/nowhere/\*\.csv; there is no folder"):
        read(problem(f"{tmp_path}/nowhere/*.csv"))
    put(tmp_path, "flights.txt", b"x")
    with pytest.raises(DataError, match=r"No file matches .*\*\.csv; .* holds flights\.txt"):
        read(problem(f"{tmp_path}/*.csv"))


def test_a_file_that_changes_while_the_source_is_read_is_worth_a_retry(tmp_path, about):
    put(tmp_path, "1.csv", as_csv(ROWS))
    with files.read(about, WINDOW, now=NOW) as rows:
        put(tmp_path, "1.csv", as_csv(ROWS[:1]))
        with pytest.raises(TransientError, match="was changed while"):
            next(rows.batches)
        (tmp_path / "1.csv").unlink()
    with files.read(problem(f"{put_one(tmp_path)}/*"), WINDOW, now=NOW) as rows:
        os.unlink(tmp_path / "1.csv")
        with pytest.raises(TransientError, match="was removed while"):
            next(rows.batches)


def put_one(folder):
    put(folder, "1.csv", as_csv(ROWS))
    return folder


def test_a_header_alone_and_blank_lines_are_no_rows(tmp_path, about):
    put(tmp_path, "1.csv", as_csv(ROWS).splitlines(keepends=True)[0])
    put(tmp_path, "2.jsonl", b"\n\n" + as_jsonl([row("a")]) + b"\n")
    put(tmp_path, "3.csv", as_csv([row("b")]).replace(b"\n", b"\r\n"))
    assert keys(read(about)) == ["a", "b"]


def test_a_text_of_ten_megabytes_comes_whole(tmp_path, about):
    for suffix in (".csv", ".jsonl", ".parquet"):
        put(tmp_path, f"x{suffix}", FORMATS[suffix]([row("a", carrier="x" * 10_000_000)]))
        assert [len(one) for one in read(about)["carrier"].to_pylist()] == [10_000_000]


def test_a_long_text_in_the_middle_of_a_file_costs_no_row_and_gives_none_twice(tmp_path, about):
    rows = [row(f"k{n}", carrier="x" * (3_000_000 if n == 70_000 else 1)) for n in range(140_000)]
    put(tmp_path, "x.csv", as_csv([*rows, row("bad", distance="far")]))
    with pytest.raises(DataError, match=r"Row 140002 of .*x\.csv: distance"):
        read(about)
    put(tmp_path, "x.csv", as_csv(rows))
    assert read(about)["flight_id"].to_pylist() == [one["flight_id"] for one in rows]


def test_an_empty_window_has_the_right_types(tmp_path, about):
    put(tmp_path, "1.csv", as_csv(ROWS))
    nothing = read(about, Window.parse("2020-01-01"))
    assert nothing.num_rows == 0 and str(nothing.schema.field("sched_dep").type) == "timestamp[us, tz=UTC]"


TEXTS = st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)
MOMENTS = st.integers(-(6 * 10**14), 2 * 10**15).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.none() | st.floats(), MOMENTS), min_size=1, max_size=8))
def test_any_text_number_and_moment_comes_over_exactly_from_every_format(tmp_path_factory, rows):
    """Also long ago: the day is that of the local calendar."""
    given_rows = [
        row(f"{n}{key}", when.isoformat(), carrier=text, distance=number, available_at=None, outcome_at=when, late_15=True)
        for n, (key, text, number, when) in enumerate(rows)
    ]
    expected = [str(one | {"_day": str(local_day(one["sched_dep"], "America/New_York"))}) for one in given_rows]
    for suffix, written in FORMATS.items():
        folder = tmp_path_factory.mktemp("any")
        put(folder, f"x{suffix}", written(given_rows))
        seen = read(problem(str(folder)), Window.parse("1949-01-01/2038-01-01"), at("2040-01-01T00:00:00+00:00"))
        assert [str({name: one[name] for name in [*given_rows[0], "_day"]}) for one in utc(seen)] == expected, suffix


def utc(table):
    return [
        {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in one.items()}
        for one in table.to_pylist()
    ]
