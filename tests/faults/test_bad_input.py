"""Bad input of every kind ends in quarantine or in an error that says what is wrong; nothing is lost, the champion stays.

Each case lets two good days in, breaks the source, and plays the next night on it. What must hold is the same for all: every row
of the source is in `raw`, or none is and the error says why; valid + quarantined = raw; the good days are as they were.
"""

import gzip
import io
import json
import random
from datetime import datetime, timedelta

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ml.window import Window
from tests.faults import orders as kit
from tests.faults.orders import BAD_DAY, FIRST, Raw, Shop, insert

GOOD = Window(FIRST, BAD_DAY)
WHOLE = Window(FIRST, BAD_DAY + timedelta(days=1))
ALTER = "ALTER TABLE orders ALTER COLUMN"
EVERY_BAD_ROW = f"UPDATE orders SET {{}} WHERE placed_at >= '{BAD_DAY} 00:00 Europe/Berlin'"

# name: (statements that break the table, what is set aside and by which rule, or what the error says, or fine)
QUARANTINE, ERROR, FINE = "quarantine", "error", "fine"
TABLE_CASES = {
    "NaN in a number": ([insert(amount="NaN")], QUARANTINE, "amount"),
    "infinity in a number": ([insert(amount="Infinity")], QUARANTINE, "amount"),
    "minus infinity in a number": ([insert(amount="-Infinity")], QUARANTINE, "amount"),
    "the largest double": ([insert(amount=1.7976931348623157e308)], QUARANTINE, "amount"),
    "the smallest double above nothing": ([insert(amount=5e-324)], FINE, ""),
    "minus nothing": ([insert(amount="-0.0")], FINE, ""),
    "a negative amount": ([insert(amount=-5)], QUARANTINE, "amount"),
    "no amount": ([insert(amount=None)], QUARANTINE, "amount"),
    "numbers kept as text": ([f"{ALTER} amount TYPE text"], ERROR, "amount"),
    "numbers kept as text with commas": (
        [f"{ALTER} amount TYPE text", "UPDATE orders SET amount = replace(amount, '.', ',')"], ERROR, "amount"),
    "numbers kept as money": ([f"{ALTER} amount TYPE money USING amount::numeric::money"], ERROR, "amount"),
    "a numeric with a hundred digits": (
        [f"{ALTER} amount TYPE numeric", insert(amount=Raw("1" + "0" * 100))], "either", "amount"),
    "numeric NaN": ([f"{ALTER} amount TYPE numeric", insert(amount="NaN")], "either", "amount"),
    "an array": ([f"{ALTER} amount TYPE double precision[] USING ARRAY[amount]"], ERROR, "amount"),
    "JSON in a text column's place": ([f"{ALTER} note TYPE jsonb USING to_jsonb(note)"], ERROR, "note"),
    "bytes in a text column's place": ([f"{ALTER} note TYPE bytea USING note::bytea"], ERROR, "note"),
    "true and false as yes and no": (
        [f"{ALTER} express TYPE text USING CASE WHEN express THEN 'yes' ELSE 'no' END"], ERROR, "express"),
    "a label with a third value": (
        [f"{ALTER} returned TYPE text USING returned::text", insert(returned="maybe")], ERROR, "returned"),
    "a label with a third number": (
        [f"{ALTER} returned TYPE integer USING returned::integer", insert(returned=2)],
        ERROR, "returned"),
    "a label without the time it was known": ([insert(returned=True, returned_at=None)], FINE, ""),
    "a label known before the order": ([insert(returned_at=f"{FIRST} 00:00+00")], QUARANTINE, "returned_at"),
    "a label from the future": ([insert(returned_at="2031-01-01 00:00+00")], FINE, ""),
    "a row from the future": ([insert(known_at="2031-01-01 00:00+00")], "unseen", ""),
    "a time in the year 9999": ([insert(due="9999-12-31 23:59+00")], QUARANTINE, "due"),
    "a time in the year 294276": ([insert(due="294276-12-31 23:59+00")], "either", "due"),
    "a time before Christ": ([insert(due="0044-03-15 12:00+00 BC")], "either", "due"),
    "a time that is infinity": ([insert(due="infinity")], "either", "due"),
    "a time that is minus infinity": ([insert(due="-infinity")], "either", "due"),
    "an event at infinity": ([insert(placed_at="infinity")], "unseen or error", "placed_at"),
    "an event before Christ": ([insert(placed_at="0044-03-15 12:00+00 BC")], "unseen or error", "placed_at"),
    "no event time, but known": ([insert(placed_at=None)], QUARANTINE, "placed_at"),
    "no time at all": ([insert(placed_at=None, known_at=None)], ERROR, "known_at"),
    "local times with a gap where the clock goes forward": (
        [f"{ALTER} placed_at TYPE timestamp USING placed_at AT TIME ZONE 'Europe/Berlin'",
         insert(placed_at=f"{BAD_DAY} 02:30")], "either", "placed_at"),
    "a plain date in a time's place": ([f"{ALTER} due TYPE date USING due::date"], "either", "due"),
    "a text in a time's place": ([f"{ALTER} due TYPE text USING due::text"], ERROR, "due"),
    "epoch seconds in a time's place": ([f"{ALTER} due TYPE bigint USING extract(epoch FROM due)"], ERROR, "due"),
    "a text of ten megabytes": ([insert(note=Raw("repeat('long ', 2000000)"))], QUARANTINE, "note"),
    "an empty text": ([insert(note="")], FINE, ""),
    "emoji, right-to-left and combining signs": ([insert(note="🧦 مرحبا e\u0301 \u202e")], FINE, ""),
    "line breaks, tabs, quotes, backslashes": ([insert(note='a\nb\tc"d\'e\\.\r\n\\N,;')], FINE, ""),
    "a text that ends a COPY": ([insert(note="\\.")], FINE, ""),
    "control characters": ([insert(note=Raw("E'\\x01\\x02\\x7f'"))], FINE, ""),
    "texts that look like missing values": ([insert(note="NULL", postcode="NaN")], FINE, ""),
    "a category that looks like a missing value": ([insert(kind="NA")], QUARANTINE, "kind"),
    "a category nobody knows": ([insert(kind="Шуба")], QUARANTINE, "kind"),
    "a category with spaces around it": ([insert(kind=" book ")], QUARANTINE, "kind"),
    "a category in capitals": ([insert(kind="BOOK")], QUARANTINE, "kind"),
    "SQL in a value": ([insert(kind="'; DROP TABLE orders; --")], QUARANTINE, "kind"),
    "a script in a value": ([insert(kind="<script>alert(1)</script>")], QUARANTINE, "kind"),
    "the same key twice on a day": ([insert(), insert(amount=6)], QUARANTINE, "order_id"),
    "the same row twice": ([insert(), insert()], QUARANTINE, "order_id"),
    "the key of another day": ([insert(order_id=f"o{FIRST:%m%d}0001")], QUARANTINE, "order_id"),
    "no key": ([insert(order_id=None)], QUARANTINE, "order_id"),
    "an empty key": ([insert(order_id="")], QUARANTINE, "order_id"),
    "a key of another form": ([insert(order_id="ORDER-7")], QUARANTINE, "order_id"),
    "a key of a kilobyte": ([insert(order_id="o" + "9" * 1000)], FINE, ""),
    "a column gone": (["ALTER TABLE orders DROP COLUMN kind"], ERROR, "kind"),
    "a column renamed": (["ALTER TABLE orders RENAME COLUMN kind TO category"], ERROR, "kind"),
    "a column added": (["ALTER TABLE orders ADD COLUMN voucher text"], ERROR, "voucher"),
    "a thousand columns added": (
        ["ALTER TABLE orders " + ", ".join(f"ADD COLUMN c{number} integer" for number in range(1000))], ERROR, "c0"),
    "a column whose name needs quotes": (['ALTER TABLE orders ADD COLUMN "Größe ""x"" (cm)" integer'], ERROR, "Größe"),
    "the table gone": (["ALTER TABLE orders RENAME TO orders_old"], ERROR, "orders_old"),
    "a view in the table's place": (
        ["ALTER TABLE orders RENAME TO base", "CREATE VIEW orders AS SELECT * FROM base",
         "GRANT SELECT ON orders TO evergreen_reader"], FINE, ""),
    "no rows at all": (["DELETE FROM orders"], ERROR, "no rows"),
    "an empty day": ([f"DELETE FROM orders WHERE placed_at >= '{BAD_DAY}'"], ERROR, "every day"),
    "a day of one row": ([f"DELETE FROM orders WHERE placed_at >= '{BAD_DAY}' AND order_id <> 'o03310005'"], "either", ""),
    "cents in place of euros": ([EVERY_BAD_ROW.format("amount = amount * 100")], "either", "amount"),
    "a day where all amounts are missing": ([EVERY_BAD_ROW.format("amount = NULL")], "either", "amount"),
    "every row of a day bad": ([EVERY_BAD_ROW.format("kind = 'x'"), insert(kind="y")], "either", "kind"),
}  # fmt: skip


@pytest.fixture
def shop(database, tmp_path):
    """Three good days in the table, of which two were let in."""
    made = Shop(tmp_path, database("orders"), database("state"))
    kit.create(made.sql, kit.orders())
    assert made.night("good", GOOD).error == ""
    return made


def unchanged(shop: Shop, before: dict[str, list[dict[str, object]]]) -> None:
    """The good days are as they were, and so is the champion."""
    assert {name: shop.content(name, GOOD) for name in before} == before
    champion = shop.ledger.champion("orders")
    assert champion and champion.version == 1


def accounted(shop: Shop, num_in_source: int) -> None:
    """Every row of the source is in `raw`, and each of them is either valid or quarantined, never both."""
    counts = {name: len(shop.content(name, WHOLE)) for name in ("raw", "valid", "quarantine")}
    assert counts["raw"] == num_in_source
    assert counts["valid"] + counts["quarantine"] == counts["raw"]


@pytest.mark.parametrize("case", TABLE_CASES)
def test_a_broken_table(shop, case):
    statements, expected, about = TABLE_CASES[case]
    before = {name: shop.content(name, GOOD) for name in ("valid", "quarantine")}
    shop.sql(*statements)
    outcome = shop.night("bad", WHOLE)
    if outcome.error:
        assert expected in (ERROR, "either", "unseen or error"), outcome.error
        assert about in outcome.error and len(outcome.error) > 40
        unchanged(shop, before)
        assert shop.content("valid", Window(BAD_DAY, WHOLE.end)) == []  # nothing of a refused night is let through
        return
    assert expected != ERROR, f"{case} was let through"
    if expected == QUARANTINE:
        assert outcome.quarantined and all(any(about in rule for rule in rules) for rules in outcome.quarantined.values())
    if expected == FINE:
        assert outcome.quarantined == {}
    inside = (
        f"coalesce(placed_at, known_at) >= '{WHOLE.start} 00:00 Europe/Berlin' AND known_at <= '{kit.NIGHT}'"
        f" AND coalesce(placed_at, known_at) < '{WHOLE.end} 00:00 Europe/Berlin'"
    )
    accounted(shop, shop.count(inside))
    if expected in (QUARANTINE, FINE) and "key of another day" not in case:
        unchanged(shop, before)


HEADER = ",".join(kit.COLUMNS)


def lines(rows):
    """CSV as an export would write it."""

    def cell(value):
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n\r') else text

    return "".join(",".join(cell(row[name]) for name in kit.COLUMNS) + "\n" for row in rows)  # fmt: skip


BAD_ROWS = kit.orders()[2 * kit.PER_DAY :]
GOOD_CSV = f"{HEADER}\n{lines(BAD_ROWS)}"


def parquet(rows, **changes) -> bytes:
    times = [name for name, kind in kit.COLUMNS.items() if kind == "timestamptz"]
    columns = {name: [datetime.fromisoformat(row[name]) if name in times else row[name] for row in rows] for name in kit.COLUMNS}
    out = io.BytesIO()
    pq.write_table(pa.table(columns | changes), out)
    return out.getvalue()


def jsonl(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# name: (file name, its bytes, what happens, what the error or the rule says); the file holds the fourth day's rows, broken
FILE_CASES = {
    "a byte order mark": ("3.csv", b"\xef\xbb\xbf" + GOOD_CSV.encode(), FINE, ""),
    "UTF-16": ("3.csv", GOOD_CSV.encode("utf-16"), ERROR, "3.csv"),
    "Latin-1": ("3.csv", GOOD_CSV.replace("a book please", "für Zoë", 1).encode("latin-1"), ERROR, "3.csv"),
    "a NUL byte": ("3.csv", GOOD_CSV.replace("please", "ple\0ase", 1).encode(), "either", "3.csv"),
    "line ends of another system": ("3.csv", GOOD_CSV.replace("\n", "\r\n").encode(), FINE, ""),
    "a line with a cell too few": ("3.csv", (GOOD_CSV + "o1,2024-03-31\n").encode(), ERROR, "3.csv"),
    "a line with a cell too many": ("3.csv", (GOOD_CSV + lines(BAD_ROWS[:1]).strip() + ",x\n").encode(), ERROR, "3.csv"),
    "a quote that is not closed": (
        "3.csv", (GOOD_CSV + lines(BAD_ROWS[:1]).replace("a book", '"a book')).encode(), ERROR, "3.csv"),
    "semicolons": ("3.csv", GOOD_CSV.replace(",", ";").encode(), ERROR, "3.csv"),
    "no header": ("3.csv", lines(BAD_ROWS).encode(), ERROR, "3.csv"),
    "a column twice": ("3.csv", GOOD_CSV.replace("note", "kind", 1).encode(), ERROR, "3.csv"),
    "an empty file": ("3.csv", b"", "either", "3.csv"),
    "only a header": ("3.csv", f"{HEADER}\n".encode(), "either", ""),
    "a word in a number's place": (
        "3.csv", GOOD_CSV.replace(",5.0,", ",many,", 1).encode(), ERROR, "amount"),
    "a comma in a number": ("3.csv", GOOD_CSV.replace(",5.0,", ',"5,0",', 1).encode(), ERROR, "amount"),
    "a date as people write it": ("3.csv", GOOD_CSV.replace("2024-04-03 12:00:00+00", "03/04/2024").encode(), ERROR, "due"),
    "a day that does not exist": ("3.csv", GOOD_CSV.replace("2024-04-03 12", "2024-02-31 12").encode(), ERROR, "due"),
    "a label in words": ("3.csv", GOOD_CSV.replace(",true,", ",perhaps,", 1).encode(), ERROR, ""),
    "a gz cut short": ("3.csv.gz", gzip.compress(GOOD_CSV.encode())[:-40], ERROR, "3.csv.gz"),
    "a gz that is none": ("3.csv.gz", GOOD_CSV.encode(), ERROR, "3.csv.gz"),
    "a JSON line cut short": ("3.jsonl", jsonl(BAD_ROWS)[:-20], ERROR, "3.jsonl"),
    "a nested JSON value": ("3.jsonl", jsonl([row | {"note": {"text": "x"}} for row in BAD_ROWS]), ERROR, "note"),
    "a JSON number as text": ("3.jsonl", jsonl([row | {"amount": "12,5"} for row in BAD_ROWS]), ERROR, "amount"),
    "a Parquet file cut short": ("3.parquet", parquet(BAD_ROWS)[:-100], ERROR, "3.parquet"),
    "a Parquet file that is none": ("3.parquet", b"PAR1 and nothing else", ERROR, "3.parquet"),
    "a Parquet column of another type": ("3.parquet", parquet(BAD_ROWS, amount=["x"] * len(BAD_ROWS)), ERROR, "amount"),
    "a Parquet column of nothing": ("3.parquet", parquet(BAD_ROWS, kind=[None] * len(BAD_ROWS)), "either", "kind"),
}  # fmt: skip


@pytest.fixture
def file_shop(database, tmp_path):
    """Two good days in files of the formats at hand, let in."""
    folder = tmp_path / "exports"
    folder.mkdir()
    rows = kit.orders(days=2)
    (folder / "1.csv").write_text(f"{HEADER}\n{lines(rows[: kit.PER_DAY])}")
    (folder / "2.csv").write_text(f"{HEADER}\n{lines(rows[kit.PER_DAY :])}")
    made = Shop(tmp_path, "postgresql://127.0.0.1:9/none", database("state"), kind="files", pattern=f"{folder}/*")
    assert made.night("good", GOOD).error == ""
    return made


@pytest.mark.parametrize("case", FILE_CASES)
def test_a_broken_file(file_shop, case):
    name, content, expected, about = FILE_CASES[case]
    before = {table: file_shop.content(table, GOOD) for table in ("valid", "quarantine")}
    (file_shop.home / "exports" / name).write_bytes(content)
    outcome = file_shop.night("bad", WHOLE)
    unchanged(file_shop, before)
    if outcome.error:
        assert expected in (ERROR, "either"), outcome.error
        assert about in outcome.error and len(outcome.error) > 40
        assert file_shop.content("valid", Window(BAD_DAY, WHOLE.end)) == []
        return
    assert expected != ERROR, f"{case} was let through"
    accounted(file_shop, 3 * kit.PER_DAY)


def test_no_file_at_all(file_shop):
    for path in (file_shop.home / "exports").iterdir():
        path.unlink()
    outcome = file_shop.night("bad", WHOLE)
    assert "exports" in outcome.error


TEXTS = st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=60)
NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-(10**15), 10**15))


# a failure is shown as it came: shrinking it would play hundreds of nights
@settings(max_examples=20, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.tuples(TEXTS, TEXTS, NUMBERS, st.one_of(st.none(), TEXTS)), min_size=1, max_size=8),
    seed=st.integers(0, 999),
)
def test_any_text_and_any_number_are_kept_exactly_or_set_aside(shop, values, seed):
    shop.sql(f"DELETE FROM orders WHERE placed_at >= '{BAD_DAY}' AND order_id NOT LIKE 'o0331%'")
    key = random.Random(seed).randrange(10**9)
    for position, (kind, note, amount, postcode) in enumerate(values):
        number = Raw("NULL") if amount is None else Raw(f"'{amount!r}'::float8")
        texts = {
            name: None if text is None else text for name, text in {"kind": kind, "note": note, "postcode": postcode}.items()
        }
        shop.sql(insert(order_id=f"o8{key}{position}", amount=number, **texts))
    before = {name: shop.content(name, GOOD) for name in ("valid", "quarantine")}
    outcome = shop.night(f"fuzz-{seed}-{key}-{hash(str(values)) & 0xFFFF}", WHOLE)
    assert outcome.error == ""
    accounted(shop, 3 * kit.PER_DAY + len(values))
    unchanged(shop, before)
    raw = {row["order_id"]: row for row in shop.content("raw", WHOLE)}
    for position, (kind, note, _, postcode) in enumerate(values):
        row = raw[repr(f"o8{key}{position}")]
        assert (row.get("kind"), row.get("note")) == (repr(kind), repr(note))
        assert row.get("postcode") == (None if postcode is None else repr(postcode))
