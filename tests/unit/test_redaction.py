"""Redaction: planted items are found in every spelling, what only looks like one is left, columns keep their types."""

import os
import random
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.redaction import Redactor, Rule, hashed, scrub
from ml.settings import PROJECT
from tests.unit.redaction_kit import harmless, planted

DATA = Path(os.environ.get("EVERGREEN_DATA", PROJECT.parent / "shared" / "data"))
NARRATIVES = DATA / "cfpb_narratives_2015_2016.parquet"
SEEDS, EACH = (1, 2, 3), 70  # 560 items a seed
SALT = b"s" * 32


def carriers() -> list[str]:
    """Texts to plant items in: real narratives where they are, else made ones."""
    if NARRATIVES.is_file():
        return [text for text in pq.read_table(NARRATIVES, columns=["consumer_complaint_narrative"])[0].to_pylist() if text]
    words = [
        "I",
        "called",
        "XXXX",
        "on",
        "XX/XX/2015",
        "and",
        "they",
        "said",
        "$",
        "300.00",
        "was",
        "due",
        "within",
        "30",
        "days",
    ]
    pick = random.Random(0)
    return [" ".join(pick.choices(words, k=150)) for _ in range(500)]


def num_digits(text: str) -> int:
    return sum(sign.isdigit() for sign in text)


def is_hidden(kind: str, item: str, before: str, after: str) -> bool:
    """Whether nothing of an item is left: its address, or a digit of its number; an expiry date behind a card may be."""
    without, out = scrub(before) + " " + scrub(after), scrub(f"{before} {item} {after}")
    if kind == "e-mail":
        return item not in out and out.count("[e-mail]") == without.count("[e-mail]") + 1
    return num_digits(out) - num_digits(without) <= (4 if "12/17" in item else 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_planted_items_are_hidden(seed):
    pick, texts = random.Random(seed), carriers()
    found, total = Counter(), Counter()
    for kind, item in planted(seed, EACH):
        words = pick.choice(texts).split(" ")
        place = pick.randrange(len(words) + 1)
        total[kind] += 1
        found[kind] += is_hidden(kind, item, " ".join(words[:place]), " ".join(words[place:]))
    assert total.total() >= 500
    assert {kind: found[kind] / total[kind] for kind in total if found[kind] < 0.98 * total[kind]} == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_only_looks_like_an_item_is_left_alone(seed):
    changed = [(kind, text, scrub(text)) for kind, text in harmless(seed, EACH) if scrub(text) != text]
    assert changed == []


@pytest.mark.real_data
@pytest.mark.skipif(not NARRATIVES.is_file(), reason="the CFPB extracts are not there (EVERGREEN_DATA)")
def test_real_narratives_that_are_masked_already_stay_as_they_are():
    texts = carriers()
    changed = [text for text in texts if scrub(text) != text]
    assert len(changed) <= len(texts) / 1000, changed[:3]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("card 4111 1111 1111 1111 12/17, thanks", "card [card] 12/17, thanks"),
        ("call (212) 555-0123 ext. 45 or +44 20 7946 0958.", "call [phone] or [phone]."),
        ("cell2125550123 and ssn078-05-1121", "cell[phone] and ssn[ssn]"),
        ("<john.doe+x@mail.example.org>", "<[e-mail]>"),
        ("j.doe [at] example [dot] org", "[e-mail]"),
        ("IBAN DE89 3704 0044 0532 0130 00 and more", "IBAN [account] and more"),
        ("from 192.168.17.4, version 1.2.3.4", "from [ip], version 1.2.3.4"),
        ("routing number 021000021, acct # 0012-3456-7890", "routing number [account], acct # [account]"),
        ("my number is\n212\u2011555\u20110123", "my number is\n[phone]"),
        ("\uff12\uff11\uff12-555-0123", "[phone]"),
        ("UA4111111111111111 on 2015-03-12 45", "UA4111111111111111 on 2015-03-12 45"),
        ("tel:+15552345678, visa4111111111111111", "tel:[phone], visa[card]"),
        ("4111\u200b1111\u200b1111\u200b1111 ::ffff:1.2.3.4", "[card] [ip]"),
        ("routing number 021000022", "routing number 021000022"),
    ],
)
def test_examples_read_as_a_person_expects(text, hidden):
    assert scrub(text) == hidden


@given(st.text(max_size=300))
def test_redacted_text_stays_as_it_is(text):
    once = scrub(text)
    assert scrub(once) == once or "[" in text  # a text may hold half a marker of its own


@pytest.mark.parametrize("piece", ["a", "1 ", "4111 ", "a@", "1.1.", "(at)", "de12 ", "12:", "account 1234567 "])
def test_a_long_strange_text_takes_no_long_time(piece):
    began = time.process_time()
    scrub(piece * (200_000 // len(piece)))
    assert time.process_time() - began < 10


def test_columns_keep_type_length_and_nulls_and_are_counted():
    batch = pa.record_batch(
        {
            "text": pa.array(["plain", None, "a@b.org", "a@b.org", ""]),
            "name": pa.array(["x", None, "x", "y", ""], pa.large_string()),
            "gone": pa.array(["a", None, "b", "c", "d"]),
            "other": pa.array([1.0, None, 2.0, 3.0, 4.0]),
        }
    )
    redactor = Redactor({"text": "text", "name": "hash", "gone": "remove", "absent": "remove"}, SALT)
    out = redactor.redact(batch)
    assert out.schema == batch.schema
    assert out["text"].to_pylist() == ["plain", None, "[e-mail]", "[e-mail]", ""]
    x = hashed("x", column="name", salt=SALT)
    assert out["name"].to_pylist() == [x, None, x, hashed("y", column="name", salt=SALT), hashed("", column="name", salt=SALT)]
    assert out["gone"].null_count == 5
    assert out["other"].equals(batch["other"])
    assert redactor.counts == {"text": 2, "name": 4, "gone": 4}
    assert Redactor({}).redact(batch) is batch


def test_a_row_is_redacted_like_a_batch():
    rules: dict[str, Rule] = {"text": "text", "name": "hash", "gone": "remove"}
    row = {"text": "to a@b.org", "name": "x", "gone": "y", "other": 5}
    out = Redactor(rules, SALT).row(row)
    batch = Redactor(rules, SALT).redact(pa.RecordBatch.from_pylist([row]))
    assert out == batch.to_pylist()[0]
    assert Redactor(rules, SALT).row(row | {"text": None, "name": 7}) == {"text": None, "name": 7, "gone": None, "other": 5}


def test_hashes_are_keyed_tell_columns_apart_and_stay_when_hashed_again():
    one = hashed("x", column="a", salt=SALT)
    assert one != hashed("x", column="b", salt=SALT)
    assert one != hashed("x", column="a", salt=b"t" * 32)
    assert hashed(one, column="a", salt=SALT) == one
    with pytest.raises(ValueError, match="salt"):
        Redactor({"a": "hash"})
