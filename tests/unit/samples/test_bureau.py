"""Complaints as CSV: the Bureau's names and habits, and errors that a person can act on."""

import gzip
import zipfile
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pyarrow as pa
import pytest

from ml.errors import ConfigError, DataError, TransientError
from ml.samples import bureau, complaints

HEADER = (
    "Date received,Product,Sub-product,Issue,Sub-issue,Consumer complaint narrative,Company public response,Company,State,"
    "ZIP code,Tags,Consumer consent provided?,Submitted via,Date sent to company,Company response to consumer,"
    "Timely response?,Consumer disputed?,Complaint ID"
)
ROWS = [
    '2016-02-01,Mortgage,,Payments,,"They said ""no"",\nand hung up.",,ACME Bank,NY,110XX,,Consent provided,Web,2016-02-03,'
    "Closed with explanation,Yes,Yes,101",
    "02/02/2016,Mortgage,,Payments,,,,ACME Bank,,,,N/A,Phone,02/02/2016,Closed,No,No,102",
    "2016-02-02,Credit card,,Fees,,,,Other Bank,TX,75001,,,Web,,Closed,,,",
]


@pytest.fixture
def csv(tmp_path):
    def write(rows=ROWS, header=HEADER):
        path = tmp_path / "complaints.csv"
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    return write


def test_reads_both_date_forms_quoted_line_ends_and_blanks(csv):
    first, second, third = bureau.read(csv()).to_pylist()
    assert first["narrative"] == 'They said "no",\nand hung up.'
    assert (first["date_received"].isoformat(), second["date_received"].isoformat()) == ("2016-02-01", "2016-02-02")
    assert (first["disputed"], second["disputed"], third["disputed"]) == (True, False, None)
    assert (second["narrative"], second["state"], third["date_sent_to_company"]) == (None, None, None)
    assert (first["timely_response"], second["timely_response"]) == (True, False)


def test_columns_are_found_by_name_not_by_place(csv):
    names = HEADER.split(",")
    rows = [",".join(reversed(ROWS[1].split(",")))]
    assert bureau.read(csv(rows, ",".join(reversed(names)))).to_pylist() == bureau.read(csv([ROWS[1]])).to_pylist()


def test_not_applicable_counts_as_no_answer(csv):
    assert bureau.read(csv([ROWS[1].replace("No,No,", "No,N/A,")]))["disputed"].to_pylist() == [None]


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_compressed_files_read_alike(csv, tmp_path, kind):
    plain = csv()
    packed = tmp_path / f"packed.csv.{kind}"
    if kind == "gz":
        packed.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(plain, "complaints.csv")
    assert bureau.read(packed).equals(bureau.read(plain))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("2016-02-01,", "2016-02-31,"), ["complaints.csv", "'Date received'", "'2016-02-31'", "record 1", "02/01/2016"]),
        (("2016-02-01,", "1 Feb 2016,"), ["'1 Feb 2016'"]),
        (("2016-02-01,", ","), ["'Date received'", "blank", "record 1"]),
        (("Yes,Yes,", "Yes,Maybe,"), ["complaints.csv", "'Consumer disputed?'", "'Maybe'", "record 1", "Yes, No, or blank"]),
    ],
    ids=["no such day", "no such form", "no day", "third answer"],
)
def test_wrong_values_are_named_with_file_column_and_record(csv, change, parts):
    old, new = change
    with pytest.raises(DataError) as raised:
        bureau.read(csv([ROWS[0].replace(old, new, 1), *ROWS[1:]]))
    assert all(part in str(raised.value) for part in parts), raised.value


def test_missing_column_is_named_with_those_that_are_there(csv):
    with pytest.raises(
        DataError, match=r"complaints\.csv has no column 'Consumer disputed\?'; it has .*Outcome.*Rename"
    ) as raised:
        bureau.read(csv(header=HEADER.replace("Consumer disputed?", "Outcome")))
    assert "Nothing was loaded" in str(raised.value)


def test_optional_columns_may_be_absent(csv):
    table = bureau.read(csv(header=HEADER.replace("ZIP code", "Postal code").replace("State", "Region")))
    assert table["zip_code"].null_count == table["state"].null_count == 3


def test_ragged_lines_are_refused(csv):
    with pytest.raises(DataError, match=r"cannot be read as CSV.*Expected 18 columns, got 2"):
        bureau.read(csv(["2016-02-01,Mortgage"]))


def test_missing_path_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no complaints at .*absent\.csv"):
        complaints.read(tmp_path / "absent.csv")


def test_complaints_need_to_be_told_where_they_are():
    with pytest.raises(ConfigError, match="DATA=folder"):
        complaints.read(None)


def test_an_id_that_is_there_twice_is_refused(csv):
    with pytest.raises(DataError, match="Complaint ID '102' is there 2 times"):
        complaints.read(csv([*ROWS, ROWS[1]]))


def test_row_and_label_become_known_after_the_longest_delays(csv):
    history = complaints.read(csv()).to_pylist()
    first = next(r for r in history if r["complaint_id"] == "101")
    assert first["date_received"] == datetime(2016, 2, 1, tzinfo=UTC)
    assert first["available_at"] == datetime(2016, 2, 18, tzinfo=UTC)  # sent on the 3rd, 15 days to answer
    assert first["disputed_at"] == datetime(2016, 4, 18, tzinfo=UTC)  # and 60 days to dispute
    unlabelled = next(r for r in history if r["disputed"] is None)
    assert unlabelled["disputed_at"] is None
    assert unlabelled["complaint_id"] == "2016-02-02-0001"  # a row without id is named by its day
    assert unlabelled["available_at"] == datetime(2016, 2, 17, tzinfo=UTC)  # not sent: counted from its receipt


@pytest.fixture
def site(csv):
    content = csv().read_bytes()

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            status = {"/complaints.csv": 200, "/broken.csv": 503}.get(self.path, 404)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content if status == 200 else b"")

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_reads_from_an_address(site, csv):
    assert complaints.read(f"{site}/complaints.csv").equals(complaints.read(csv()))


def test_address_survives_being_a_path(site, csv):
    assert complaints.read(f"{site}/complaints.csv".replace("//", "/")).equals(complaints.read(csv()))


@pytest.mark.parametrize(("page", "error"), [("absent.csv", ConfigError), ("broken.csv", TransientError)])
def test_failed_downloads_say_who_can_mend_them(site, page, error):
    with pytest.raises(error, match=page):
        complaints.read(f"{site}/{page}")


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        complaints.read(tmp_path / "empty.csv")


def test_header_only_gives_an_empty_history(csv):
    history = complaints.read(csv([]))
    assert history.num_rows == 0
    assert history.schema.field("narrative").type == pa.string()
