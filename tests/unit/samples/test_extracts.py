"""Putting the short and the full extract together, row by row."""

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import ConfigError, DataError
from ml.samples import complaints, extracts

NAMES = list(extracts.SHARED)


def table(values):
    """Rows that differ in issue and consent only."""
    fixed = {"date_received": date(2016, 2, 1), "date_sent_to_company": date(2016, 2, 2), "company_response": "Closed"}
    fixed |= {"submitted_via": "Web", "disputed": False}
    rows = [fixed | {"issue": issue, "consumer_consent": consent} for issue, consent in values]
    kinds = {name: extracts.TYPES.get(name, pa.string()) for name in NAMES}
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})


VALUES = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["yes", None])), max_size=12)


@given(short=VALUES.filter(bool), full=VALUES)
def test_match_pairs_equal_rows_one_to_one_and_as_many_as_can_be(short, full):
    replaced, matched = extracts.match(table(short), table(full))
    assert len(set(replaced.tolist())) == len(replaced) == matched.sum()
    assert sorted(map(str, (short[i] for i in replaced))) == sorted(
        str(row) for row, found in zip(full, matched, strict=True) if found
    )
    for value in set(short) | set(full):
        pairs = sum(found for row, found in zip(full, matched, strict=True) if row == value)
        assert pairs == min(short.count(value), full.count(value))


def write(folder, name, rows):
    theirs = {ours: bureau for bureau, ours in extracts.OURS.items()}
    pq.write_table(rows.rename_columns([theirs.get(n, n) for n in rows.column_names]), folder / name)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, extracts.DISPUTES, table([("a", None), ("a", None), ("b", "yes")]))
    full = table([("a", None), ("c", None)])
    extra = {
        name: pa.array([f"{name} 1", f"{name} 2"]) for name in ("product", "issue", "state", "zip_code", "company", "narrative")
    }
    full = full.append_column("complaint_id", pa.array([11, 12]))
    full = full.append_column("timely_response", pa.array([True, False]))
    for name, column in extra.items():
        full = full if name == "issue" else full.append_column(name, column)
    write(tmp_path, extracts.NARRATIVES, full)
    return tmp_path


def test_full_rows_take_the_place_of_short_ones_and_new_ones_are_added(folder, caplog):
    with caplog.at_level("INFO"):
        history = complaints.read(folder).to_pylist()
    assert sorted((r["issue"], r["narrative"]) for r in history if r["narrative"]) == [("a", "narrative 1"), ("c", "narrative 2")]
    assert sorted(r["issue"] for r in history if not r["narrative"]) == ["a", "b"]
    assert sorted(r["complaint_id"] for r in history) == ["11", "12", "2016-02-01-0001", "2016-02-01-0002"]
    assert "2 complaints in full: 1 put in place of a short row, 1 added" in caplog.text


def test_missing_extract_is_named(folder):
    (folder / extracts.NARRATIVES).unlink()
    with pytest.raises(ConfigError, match=r"cfpb_narratives_2015_2016\.parquet is missing"):
        complaints.read(folder)


def test_missing_column_of_an_extract_is_named(folder):
    rows = pq.read_table(folder / extracts.DISPUTES).drop_columns(["consumer_disputed"])
    pq.write_table(rows, folder / extracts.DISPUTES)
    with pytest.raises(DataError, match=r"cfpb_disputes_2011_2017\.parquet has no column 'disputed'"):
        complaints.read(folder)


def test_broken_extract_is_refused(folder):
    (folder / extracts.DISPUTES).write_bytes(b"not parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        complaints.read(folder)
