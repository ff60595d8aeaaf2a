"""The validation report: what it says first, that nothing in it can run or load, and that its charts stay in their frame."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ml import problem as problems
from ml.pages import validation
from ml.settings import PROJECT

FLIGHTS = problems.load("flights", PROJECT / "ml" / "problems")
DAYS = [f"2013-01-{day:02d}" for day in range(4, 32)]


def rule(name="distance: be_between(min_value=50)", **changes):
    plain = {"kind": "row", "origin": "suite", "column": "distance", "severity": "critical", "holds": True, "assessable": True}
    told = {"why": "no flight is shorter", "expected": "at least 50", "observed": "", "num_broken": 0, "share": 0.0}
    return {"rule": name} | plain | told | {"examples": [], "trailing": []} | changes


def trailing(**changes):
    plain = {
        "column": "visib",
        "day": "2013-02-01",
        "value": 0.3,
        "low": 0.0,
        "high": 0.06,
        "unit": "share missing",
        "days": DAYS,
    }
    return plain | {"values": [0.01] * len(DAYS), "holds": False, "sentence": "30 % of visib were missing"} | changes


def result(rules=(), **changes):
    days = {"2013-01-31": {"ingested": 900, "valid": 900, "quarantined": 0}}
    plain = {"run_key": "night", "start": "2013-01-31", "end": "2013-02-01", "refused": "", "days": days, "examples": []}
    return plain | {"num_ingested": 900, "num_valid": 900, "num_quarantined": 0, "rules": list(rules) or [rule()]} | changes


class Words(HTMLParser):
    """Text, tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text += data


def words(content) -> Words:
    return Words(validation.page(content, FLIGHTS))


BROKEN = {"holds": False, "num_broken": 9, "share": 0.01, "examples": [-5.0]}
ASIDE = {"num_valid": 891, "num_quarantined": 9}


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        (result(), "good", "All 900 flights were let through. Every rule holds."),
        (result([rule(severity="warning", holds=False)]), "warn", "All 900 flights were let through. 1 warning stands."),
        (result([rule(**BROKEN)], **ASIDE), "warn", "891 of 900 flights were let through; 9 (1.0%) were set aside."),
        (result([rule(**BROKEN)], **ASIDE, refused="too many"), "bad", "Not let through: none of the 900 flights went further."),
    ],
    ids=["clean", "warning", "quarantined", "refused"],
)
def test_the_verdict_comes_first_in_a_sentence(content, kind, sentence):
    assert validation.verdict(content, "flights") == (kind, sentence)
    assert sentence in words(content).text


def test_the_counts_add_up_before_the_readers_eyes():
    assert re.search(r"900\s+ingested = 891 valid \+ 9 quarantined", words(result([rule(**BROKEN)], **ASIDE)).text)


def test_a_batch_that_was_not_let_through_tells_what_is_known_of_it():
    days = {"2013-01-31": {"ingested": 900}}
    text = words(result([rule(**BROKEN)], num_valid=0, num_quarantined=9, refused="`x` is wrong", days=days)).text
    assert re.search(r"900\s+ingested = 891\s+kept every critical row rule \+ 9\s+broke one", text)
    assert "x is wrong" in text
    crashed = {
        "run_key": "night",
        "start": "2013-01-31",
        "end": "2013-02-01",
        "refused": "distance: could not be computed",
        "rules": [],
    }
    assert "none of the flights went further" in words(crashed).text


def test_broken_rules_come_before_kept_ones_each_with_why_share_and_examples():
    text = words(result([rule("origin: kept()"), rule("distance: broken()", **BROKEN)], **ASIDE)).text
    assert text.index("Broken, critical (1)") < text.index("distance: broken()") < text.index("Rules that hold (1)")
    assert text.index("Rules that hold (1)") < text.index("origin: kept()")
    for told in ("no flight is shorter", "9 rows, 1.0%", "expected at least 50", "-5"):
        assert told in text


def test_a_rule_that_could_not_be_judged_is_neither_kept_nor_broken():
    text = words(result([rule("usual rows", assessable=False, holds=True, observed="3 days of history are too few")])).text
    assert "Not assessable (1)" in text
    assert "Every rule that can be judged so far holds." in text
    assert "Rules that hold (0)" in text
    assert "3 days of history are too few" in text


def test_values_cannot_run_or_load_anything():
    evil = "<script>alert(1)</script><img src=http://example.com/x onerror=alert(1)>"
    row = {"flight_id": evil, "distance": evil, "_rules": [f"distance: {evil}"]}
    broken = rule(f"distance: {evil}", **(BROKEN | {"examples": [evil], "why": evil, "observed": evil, "expected": evil}))
    history = rule("usual", holds=False, trailing=[trailing(sentence=evil, column=evil, unit=evil)])
    found = words(result([broken, history], examples=[row], refused=evil, run_key=evil, **ASIDE))
    assert evil[:25] in found.text
    assert not {"script", "img", "iframe", "link", "object"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert not [name for name, _ in found.attributes if name in ("src", "href", "srcset", "action")]


def test_set_aside_rows_are_shown_as_stored_with_the_broken_column_marked():
    row = {"flight_id": "a", "dest": "h:0123", "distance": -5.0, "_rules": ["distance: be_between(min_value=50)"], "_day": "x"}
    page = validation.page(result([rule(**BROKEN)], examples=[row], **ASIDE), FLIGHTS)
    assert re.search(r'class="marked">-5<', page)
    assert re.search(r"<td>h:0123<", page)
    assert "_day" not in page
    assert page.index("<th>distance<") < page.index("<th>dest<"), "what is wrong stands where it can be seen"


def test_values_of_rows_can_be_left_out():
    row = {"flight_id": "secret-key", "distance": -77.25, "_rules": ["distance: be_between(min_value=50)"]}
    broken = rule(**(BROKEN | {"examples": [-77.25], "observed": "[-77.25]"}))
    page = validation.page(result([broken], examples=[row], **ASIDE), FLIGHTS, values=False)
    assert "9</b> rows" in page
    assert not [value for value in ("secret-key", "77.25") if value in page]
    assert "Rows and their values are left out here" in page


def test_the_command_that_shows_all_rows_names_a_day_that_has_some():
    days = {
        "2013-01-30": {"ingested": 9, "valid": 0, "quarantined": 9},
        "2013-01-31": {"ingested": 9, "valid": 9, "quarantined": 0},
    }
    row = {"flight_id": "a", "_rules": []}
    assert "quarantine show --problem flights --day 2013-01-30" in words(result(days=days, examples=[row])).text
    assert "quarantine show" not in words(result(days=days, examples=[row], refused="too many")).text


NUMBERS = st.one_of(st.none(), st.floats(-1e9, 1e9), st.sampled_from([float("nan"), float("inf")]))


@example(values=[], value=2.2e-311, low=None, high=None)
@given(values=st.lists(NUMBERS, max_size=90), value=NUMBERS, low=NUMBERS, high=NUMBERS)
def test_charts_stay_in_their_frame(values, value, low, high):
    found = validation.chart(trailing(values=values, value=value, low=low, high=high))
    for bar in found["bars"]:
        assert 0 <= bar["x"] <= bar["x"] + bar["width"] <= validation.WIDTH + 1
        assert 0 <= bar["y"] <= bar["y"] + bar["height"] <= validation.HEIGHT + 1
    assert all(0 <= limit <= validation.HEIGHT for limit in found["limits"])
    assert [bar["now"] for bar in found["bars"]][:-1] == [False] * (len(found["bars"]) - 1)


def test_a_chart_tells_in_words_what_it_shows():
    found = words(result([rule("usual nulls", kind="table", holds=False, trailing=[trailing()])]))
    assert ("aria-label", "30 % of visib were missing") in found.attributes
    assert "2013-01-04 to 2013-01-31, then 2013-02-01" in found.text
