"""What changes at a source is told with its cause, and what only is a season, a storm or a moved row is no change."""

import hashlib
import html
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.contract import Batch, Column, Contract, Pending, accept, compare, compare_types, follow, retyped, told
from ml.contracts import SURE
from tests.unit import contract_kit as kit
from tests.unit.contract_kit import epoch, filled, mapped, moments, newest_day_only, set_to, shifted, some_null, swapped, times

NIGHT = date(2013, 2, 20)
OUTAGE = date(2013, 12, 31)  # the airports' weather ends the day before
WEATHER = {"humid", "wind_speed", "precip", "visib", "temp", "celsius", "dewp", "pressure"}
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "UA", "US", "VX", "WN", "YV")


def day_and_month(moment):
    return moment.replace(day=moment.month, month=moment.day) if moment.day <= 12 else moment


def without_am_and_pm(moment):
    return moment - timedelta(hours=12) if (moment.hour - 5) % 24 >= 12 else moment


def as_windows_text(text):
    return text.replace("'", "’").encode().decode("cp1252", "replace")


def renamed(response):
    return "Explained" if response == "Closed with explanation" else response


def capped(rows):
    return kit.put(rows, "distance", pc.min_element_wise(rows["distance"], 2000.0))


def without_jfk(rows):
    return rows.filter(pc.not_equal(rows["origin"], "JFK"))


def carrier_with_number(rows):
    return kit.put(rows, "carrier", pc.replace_substring_regex(rows["flight_id"], r"^\S+ | \S+$", ""))


def an_identifier(rows):
    return kit.put(rows, "dest", pc.utf8_reverse(rows["flight_id"]))


def hashed(key):
    return hashlib.md5(key.encode()).hexdigest()


# what is done to the rows, the column that differs, and the cause that must be named first
CHANGES = {
    "miles to kilometres": (times("distance", 1.609344), "distance", "kilometres instead of miles"),
    "miles to kilometres, rounded": (times("distance", 1.609344, digits=0), "distance", "kilometres instead of miles"),
    "kilometres since last night": (
        newest_day_only(times("distance", 1.609344, digits=1)),
        "distance",
        "kilometres instead of miles",
    ),
    "feet to metres": (times("altitude", 0.3048), "altitude", "metres instead of feet"),
    "inches to centimetres": (times("width", 2.54, digits=1), "width", "centimetres instead of inches"),
    "pounds to kilograms": (times("weight", 0.45359237, digits=1), "weight", "kilograms instead of pounds"),
    "minutes to seconds": (times("sched_minutes", 60), "sched_minutes", "seconds instead of minutes"),
    "minutes to hours": (times("sched_minutes", 1 / 60, digits=2), "sched_minutes", "hours instead of minutes"),
    "minutes to milliseconds": (times("sched_minutes", 60_000), "sched_minutes", "milliseconds instead of minutes"),
    "percent to share": (times("humid", 0.01, digits=4), "humid", "a share of 1 instead of percent"),
    "share to percent": (times("load", 100), "load", "percent instead of a share of 1"),
    "Fahrenheit to Celsius": (times("temp", 5 / 9, -160 / 9, digits=1), "temp", "Celsius instead of Fahrenheit"),
    "Celsius to Fahrenheit": (times("celsius", 9 / 5, 32), "celsius", "Fahrenheit instead of Celsius"),
    "mph to km/h": (times("wind_speed", 1.609344, digits=2), "wind_speed", "km/h instead of miles per hour"),
    "mph to m/s": (times("wind_speed", 0.44704), "wind_speed", "m/s instead of miles per hour"),
    "dollars to cents": (times("fare", 100, digits=0), "fare", "cents instead of whole units of money"),
    "cents to dollars": (times("tax_cents", 0.01), "tax_cents", "whole units of money instead of cents"),
    "cents since last night": (newest_day_only(times("fare", 100)), "fare", "cents instead of whole units of money"),
    "times a thousand": (times("plane_seats", 1000), "plane_seats", "single units instead of thousands"),
    "sign turned": (times("sched_minutes", -1), "sched_minutes", "the opposite sign instead of the recorded one"),
    "capped": (capped, "distance", "cut off at a limit"),
    "one number everywhere": (set_to("plane_seats", 100.0), "plane_seats", "one value only"),
    "one category everywhere": (set_to("origin", "EWR"), "origin", "one value only"),
    "nulls as -1": (filled("plane_year", -1.0), "plane_year", "nulls written as '-1'"),
    "nulls as 0": (filled("plane_year", 0.0), "plane_year", "nulls written as '0'"),
    "nulls as 999": (filled("wind_gust", 999.0), "wind_gust", "nulls written as '999'"),
    "nulls as NA": (filled("plane_type", "NA"), "plane_type", "nulls written as 'NA'"),
    "nulls as an empty text": (filled("plane_type", ""), "plane_type", "nulls written as ''"),
    "nulls as a default": (filled("plane_type", "Rotorcraft"), "plane_type", "nulls filled with a default"),
    "a join fails in part": (some_null("plane_seats", 0.7), "plane_seats", "many more nulls"),
    "a join fails": (some_null("dest", 1.0), "dest", "no value at all"),
    "small letters": (mapped("carrier", str.lower), "carrier", "other letter case"),
    "small letters since last night": (newest_day_only(mapped("carrier", str.lower)), "carrier", "other letter case"),
    "padded": (mapped("origin", "{}  ".format), "origin", "spaces around the values"),
    "a prefix": (mapped("carrier", "IATA:{}".format), "carrier", "prefix 'IATA:' added"),
    "a suffix": (mapped("dest", "{}/US".format), "dest", "suffix '/US' added"),
    "codes for names": (mapped("carrier", lambda code: str(CARRIERS.index(code))), "carrier", "numbers instead of names"),
    "Y and N": (mapped("cancelled", {"true": "Y", "false": "N"}.get), "cancelled", "other words for yes and no"),
    "values cut off": (mapped("plane_type", lambda text: text[:12]), "plane_type", "values cut off"),
    "HTML spaces": (mapped("plane_type", lambda text: text.replace(" ", "&nbsp;")), "plane_type", "HTML signs in the text"),
    "a number behind each value": (carrier_with_number, "carrier", "something added behind each value"),
    "an identifier": (an_identifier, "dest", "an identifier or free text"),
    "an airport is missing": (without_jfk, "origin", "rows are missing"),
    "swapped numbers": (swapped("distance", "sched_minutes"), "distance", "swapped with sched_minutes"),
    "swapped categories": (swapped("origin", "dest"), "origin", "swapped with dest"),
    "swapped moments": (swapped("available_at", "outcome_at"), "available_at", "swapped with outcome_at"),
    "local read as UTC": (shifted("sched_dep", "available_at", "outcome_at", hours=-5), "sched_dep", "clock shifted by -5 h"),
    "UTC read as local, event only": (shifted("sched_dep", hours=5), "sched_dep", "clock shifted by +5 h"),
    "another column's zone": (shifted("available_at", hours=-5), "available_at", "clock shifted by -5 h"),
    "daylight-saving time lost": (shifted("available_at", hours=1), "available_at", "clock shifted by +1 h"),
    "day and month swapped": (moments("available_at", day_and_month), "available_at", "day and month swapped"),
    "milliseconds as seconds": (epoch("available_at", 1000), "available_at", "milliseconds read as seconds"),
    "seconds as milliseconds": (epoch("outcome_at", 0.001), "outcome_at", "seconds read as milliseconds"),
    "time of day cut off": (moments("sched_dep", lambda one: one.replace(hour=5, minute=0)), "sched_dep", "time of day cut off"),
    "12-hour clock": (moments("available_at", without_am_and_pm), "available_at", "12-hour clock"),
    "key in small letters": (mapped("flight_id", str.lower), "flight_id", "another form"),
    "key with other signs": (
        mapped("flight_id", lambda key: key.replace(" ", "_").replace("-", "")),
        "flight_id",
        "another form",
    ),
    "key hashed": (mapped("flight_id", hashed), "flight_id", "hashed"),
    "label inverted": (lambda rows: kit.put(rows, "late_15", pc.invert(rows["late_15"])), "late_15", "inverted"),
}
DAYS = {"day and month swapped": date(2013, 3, 11)}  # the first days of a month are dates both ways
TOGETHER = [
    {"distance", "sched_minutes"},
    {"origin", "dest"},
    {"sched_dep", "available_at", "outcome_at"},
]  # change in one stroke
VIA = {"Web": "1", "Referral": "2", "Phone": "3", "Postal mail": "4", "Fax": "5", "Email": "6"}
COMPLAINT_CHANGES = {
    "values cut off": (mapped("issue", lambda text: text[:30]), "issue", "values cut off"),
    "HTML escapes": (mapped("issue", html.escape), "issue", "HTML signs in the text"),
    "capitals": (mapped("company_response", str.upper), "company_response", "other letter case"),
    "codes for names": (mapped("submitted_via", lambda name: VIA.get(name, "9")), "submitted_via", "numbers instead of names"),
    "nulls as N/A": (filled("product", "N/A"), "product", "nulls written as 'N/A'"),
    "leading zeros lost": (mapped("zip_code", lambda code: code.lstrip("0")), "zip_code", "leading zeros"),
    "escaped twice": (mapped("narrative", html.escape), "narrative", "HTML signs in the text"),
    "all in capitals": (mapped("narrative", str.upper), "narrative", "all upper case"),
    "text cut off": (mapped("narrative", lambda text: text[:500]), "narrative", "text cut off"),
    "broken encoding": (
        mapped("narrative", as_windows_text), "narrative", "broken encoding"),
    "another zone": (shifted("date_received", hours=5), "date_received", "clock shifted by +5 h"),
    "label inverted": (lambda rows: kit.put(rows, "disputed", pc.invert(rows["disputed"])), "disputed", "inverted"),
    "swapped": (swapped("submitted_via", "company_response"), "submitted_via", "swapped with company_response"),
    "another key": (mapped("complaint_id", lambda key: "C" + key.replace("-", "")), "complaint_id", "another form"),
    "a renamed value": (mapped("company_response", renamed), "company_response", "a value was renamed"),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes():
    """Differences per change, by column."""
    found = {}
    for name, (change, _, _) in CHANGES.items():
        differences = kit.differing(change(kit.night(DAYS.get(name, NIGHT))), kit.january())
        found[name] = {one.column: one for one in differences}
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_with_its_cause(name, outcomes):
    _, column, cause = CHANGES[name]
    assert cause in [one.cause for one in outcomes[name][column].hypotheses]
    blameless = set(outcomes[name]) - {column}
    assert not blameless or any(blameless | {column} <= together for together in TOGETHER)


def test_the_first_explanation_is_right_for_nine_changes_of_ten(outcomes):
    wrong = {
        name: [one.cause for one in outcomes[name][column].hypotheses] if column in outcomes[name] else "not seen"
        for name, (_, column, cause) in CHANGES.items()
        if column not in outcomes[name] or outcomes[name][column].hypotheses[0].cause != cause
    }
    assert len(CHANGES) >= 50
    assert len(wrong) <= len(CHANGES) / 10, wrong


def test_explanations_are_ranked_and_give_both_states(outcomes):
    for found in outcomes.values():
        for difference in found.values():
            scores = [one.score for one in difference.hypotheses]
            assert scores == sorted(scores, reverse=True)
            assert "recorded: " in difference.what
            assert "now: " in difference.what


@pytest.fixture(scope="module")
def extracts() -> Path:
    return kit.extracts()


@pytest.mark.real_data
def test_changes_of_complaints_are_told_with_their_cause(extracts):
    contract = kit.complaints_contract(extracts, date(2014, 10, 1), date(2015, 10, 1))
    rows = kit.complaints_of(extracts, date(2015, 8, 1), date(2015, 11, 30))
    first = {}
    for name, (change, column, _) in COMPLAINT_CHANGES.items():
        found = {one.column: one.hypotheses[0].cause for one in kit.differing_complaints(change(rows), contract)}
        first[name] = found.get(column, "not seen")
    wrong = {name: cause for name, cause in first.items() if cause != COMPLAINT_CHANGES[name][2]}
    assert kit.differing_complaints(rows, contract) == []
    assert len(wrong) <= len(COMPLAINT_CHANGES) / 10, wrong


@pytest.fixture(scope="module")
def week() -> Contract:
    return kit.recorded(kit.profiled(kit.flights_of(date(2013, 1, 8), date(2013, 1, 15))))


@pytest.mark.parametrize("step", [45, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_year_of_flights_stops_no_night_but_the_one_without_weather(step, week):
    """A week of January as it is, a week that follows, January as it is: all seasons, storms and schedules are no change."""
    stopped, follows, day = set(), week, date(2013, 2, 3)
    while day <= OUTAGE:
        batch = kit.profiled(kit.night(day))
        for contract in (week, follows, kit.january()):
            stopped |= {(day, one.column) for one in compare(contract, batch)}
        follows = follow(follows, kit.FLIGHTS, kit.KINDS, batch)
        day += timedelta(days=step)
    stopped |= {(OUTAGE, one.column) for one in compare(follows, kit.profiled(kit.night(OUTAGE)))}
    assert stopped == {(OUTAGE, name) for name in WEATHER}


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_years_of_complaints_stop_for_what_really_changed(extracts):
    """Responses retired in 2012 and consent asked for from 2015 on; new products, taxonomies and samples come slowly enough."""
    contract, day, stopped = kit.complaints_contract(extracts, date(2012, 1, 1), date(2012, 12, 31)), date(2013, 1, 1), []
    while day <= date(2017, 4, 30):
        rows = kit.complaints_of(extracts, day - timedelta(days=121), day)
        batch = kit.profiled(rows, kit.COMPLAINT_KINDS, kit.COMPLAINTS)
        found = compare(contract, batch)
        stopped += [(day.year, one.column) for one in found]
        contract = agreed(contract, found, batch) if found else contract
        contract = follow(contract, kit.COMPLAINTS, kit.COMPLAINT_KINDS, batch)
        day += timedelta(days=4)
    assert stopped == [(2013, "company_response"), (2015, "consumer_consent")]


@settings(max_examples=25)
@given(day=st.integers(3, 363), seed=st.integers(0, 9), share=st.floats(0.3, 1))
def test_any_part_of_any_night_is_no_difference(day, seed, share):
    rows = kit.night(date(2013, 1, 1) + timedelta(days=day))
    kept = rows.filter(pa.array(np.random.default_rng(seed).random(rows.num_rows) < share))
    assert kit.differing(kept, kit.january()) == []


EXTREMES = st.sampled_from(
    [0.0, 1.0, -1.0, 3e16, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324, float("inf"), float("nan")]
)


@settings(max_examples=60)
@given(
    before=st.lists(EXTREMES | st.floats(), min_size=3, max_size=12),
    now=st.lists(EXTREMES | st.floats(), min_size=3, max_size=12),
)
def test_no_numbers_are_too_strange_to_compare(before, now):
    rows, kinds = kit.night(NIGHT).slice(0, 600), {"fare": "number"}
    first, second = (kit.put(rows, "fare", pa.array(np.resize(values, 600), pa.float64())) for values in (before, now))
    for difference in compare(kit.recorded(kit.profiled(first, kinds), kinds), kit.profiled(second, kinds)):
        assert all(0 <= one.score <= 1 for one in difference.hypotheses)


def test_a_single_strange_row_is_no_difference():
    rows = kit.night(NIGHT)
    first = pa.array(np.arange(rows.num_rows) == 0)
    for name in ("available_at", "sched_dep", "outcome_at"):
        for days in (-30, 30, 20_000):
            odd = pc.if_else(first, shifted(name, hours=24 * days)(rows)[name], rows[name])
            assert kit.differing(kit.put(rows, name, odd), kit.january()) == []
    for name, value in (("distance", 1e9), ("humid", -1.0)):
        odd = pc.if_else(first, value, rows[name])
        assert kit.differing(kit.put(rows, name, odd), kit.january()) == []


def test_too_few_rows_and_ignored_columns_say_nothing():
    changed = times("distance", 100)(kit.night(NIGHT))
    assert kit.differing(changed.slice(0, 499), kit.january()) == []
    assert compare(kit.january(), kit.profiled(changed), ignore=["distance"]) == []
    assert len(compare(kit.january(), kit.profiled(changed))) == 1


def test_labels_that_are_not_known_yet_are_no_failure():
    rows = kit.night(NIGHT)
    unknown = kit.put(
        kit.put(rows, "late_15", pa.nulls(rows.num_rows, pa.bool_())), "outcome_at", pa.nulls(rows.num_rows, kit.MOMENT)
    )
    assert kit.differing(unknown, kit.january()) == []


def test_a_declared_unit_decides_between_explanations():
    rows = times("sched_minutes", 60)(kit.night(NIGHT))
    for unit, cause in (("hours", "minutes instead of hours"), ("minutes", "seconds instead of minutes")):
        contract = with_column(kit.january(), "sched_minutes", unit=unit)
        assert kit.differing(rows, contract)[0].hypotheses[0].cause == cause


# --- names and types -------------------------------------------------------------------------------------------------------

TYPES = {
    "flight_id": "text", "sched_dep": "timestamp with time zone", "late_15": "boolean", "outcome_at": "timestamp with time zone",
    "carrier": "text", "dest": "text", "distance": "double precision", "seats": "integer", "note": "character varying",
}  # fmt: skip


def changed_types(**new: str | None) -> dict[str, str]:
    """TYPES with other types, without those set to None; new names come last, as ALTER TABLE adds them."""
    return {name: kind for name, kind in (TYPES | new).items() if kind is not None}


def renamed_types(**names: str) -> dict[str, str]:
    return {names.get(name, name): kind for name, kind in TYPES.items()}


@pytest.mark.parametrize(
    ("types", "kind", "column", "cause"),
    [
        (renamed_types(distance="distance_miles"), "renamed", "distance", "renamed to distance_miles"),
        (renamed_types(dest="arrival_airport"), "renamed", "dest", "renamed to arrival_airport"),
        (changed_types(carrier=None, carrier_code="text"), "renamed", "carrier", "renamed to carrier_code"),
        (changed_types(dest=None), "removed", "dest", "dropped"),
        (changed_types(gate="text"), "added", "gate", "added"),
        (changed_types(distance="text"), "retyped", "distance", "decimal became text"),
        (changed_types(distance="integer"), "retyped", "distance", "decimal became integer"),
        (changed_types(seats="bigint"), "retyped", "seats", "integer became integer"),
        (changed_types(note="text"), "retyped", "note", "text became text"),
        (changed_types(late_15="text"), "retyped", "late_15", "yes or no became text"),
        (
            changed_types(sched_dep="timestamp without time zone"),
            "retyped",
            "sched_dep",
            "time with zone became time without zone",
        ),
        (changed_types(sched_dep="date"), "retyped", "sched_dep", "time with zone became date"),
        (changed_types(sched_dep="bigint"), "retyped", "sched_dep", "time with zone became integer"),
        (changed_types(outcome_at="text"), "retyped", "outcome_at", "time with zone became text"),
    ],
)
def test_other_names_and_types_are_told(types, kind, column, cause):
    (difference,) = compare_types(typed(), types)
    assert (difference.kind, difference.column, difference.hypotheses[0].cause) == (kind, column, cause)


def test_a_dropped_and_an_added_column_of_other_kinds_are_two_differences():
    found = compare_types(typed(), changed_types(dest=None, loaded_at="timestamp with time zone"))
    assert [(one.kind, one.column) for one in found] == [("removed", "dest"), ("added", "loaded_at")]


def test_same_types_ignored_columns_and_types_not_known_yet_are_no_difference():
    assert compare_types(typed(), TYPES) == []
    assert compare_types(typed(), changed_types(gate="text", seats="text"), ignore=["gate", "seats"]) == []
    assert compare_types(typed(note="null"), TYPES) == []
    assert compare_types(typed(), changed_types(note="null")) == []
    assert compare_types(typed(note="large_string"), changed_types(note="string")) == []


def test_ignored_columns_and_first_types_are_taken_over_without_a_word():
    kept = retyped(typed(note="null"), changed_types(counter="bigint", seats=None), ignore=["counter", "seats"])
    assert kept.types == changed_types(counter="bigint", seats=None)


def test_a_thousand_differences_make_a_short_message():
    found = compare_types(typed(), TYPES | {f"c{place}": "integer" for place in range(1_000)})
    message = told("public.flights", "flights", typed(), found)
    assert "1000 differences" in message
    assert "and 988 more" in message
    assert len(message.splitlines()) < 40


def typed(**changes: str) -> Contract:
    columns = {name: Column(source_type=kind, declared="category") for name, kind in changed_types(**changes).items()}
    return kit.january().model_copy(update={"columns": columns})


# --- the life of a contract ------------------------------------------------------------------------------------------------


def with_column(contract: Contract, name: str, **changes: object) -> Contract:
    return contract.model_copy(update={"columns": contract.columns | {name: contract.columns[name].model_copy(update=changes)}})


def agreed(contract: Contract, found, batch: Batch, *only: str) -> Contract:
    pending = Pending(at=contract.recorded_at, run_key="stopped", differences=tuple(found), batch=batch)
    return accept(contract, pending, only, who="dora", why="it is meant", at=contract.recorded_at)[0]


def in_kilometres_since(first: date):
    def change(rows):
        there = pc.less(rows["_day"], str(first))
        return pa.concat_tables([rows.filter(there), times("distance", 1.609344)(rows.filter(pc.invert(there)))])

    return change


def test_an_accepted_change_stops_no_later_night_and_the_way_back_does():
    contract, since = kit.january(), in_kilometres_since(NIGHT)
    batch = kit.profiled(since(kit.night(NIGHT)))
    contract = agreed(contract, compare(contract, batch), batch)
    assert compare(contract, batch) == []
    for later in range(1, 6):  # the look-back holds old and new rows for three nights
        batch = kit.profiled(since(kit.night(NIGHT + timedelta(days=later))))
        assert compare(contract, batch) == []
        contract = follow(contract, kit.FLIGHTS, kit.KINDS, batch)
    (back,) = kit.differing(kit.night(NIGHT + timedelta(days=6)), contract)
    assert back.hypotheses[0].cause == "miles instead of kilometres"


def test_acceptance_remembers_who_why_and_what_and_leaves_the_rest_open():
    batch = kit.profiled(times("distance", 100)(times("sched_minutes", 60)(kit.night(NIGHT))))
    found = compare(kit.january(), batch)
    pending = Pending(at=kit.january().recorded_at, run_key="stopped", differences=tuple(found), batch=batch)
    contract, rest = accept(kit.january(), pending, ["distance"], who="dora", why="metric", at=pending.at)
    (entry,) = contract.accepted
    assert (entry.who, entry.why, entry.run_key, [one.column for one in entry.differences]) == (
        "dora",
        "metric",
        "stopped",
        ["distance"],
    )
    assert rest is not None
    assert [one.column for one in rest.differences] == ["sched_minutes"]
    assert [one.column for one in compare(contract, batch)] == ["sched_minutes"]


def test_accepted_names_and_types_are_the_contract_in_the_source_s_order():
    types = changed_types(gate="text", note=None, seats="bigint") | {"dest": "text"}
    types = {("destination" if name == "dest" else name): kind for name, kind in types.items()}
    found = compare_types(typed(), types)
    pending = Pending(at=kit.january().recorded_at, run_key="stopped", differences=tuple(found), types=types)
    contract, rest = accept(typed(), pending, (), who="dora", why="new release", at=pending.at)
    assert rest is None
    assert list(contract.types.items()) == list(types.items())
    assert contract.columns["destination"].declared == "category"


def few_columns(*names: str) -> tuple[dict[str, str], Contract]:
    """January's contract of a few columns: sixty nights of all of them take long."""
    kinds = {name: kit.KINDS[name] for name in names}
    return kinds, kit.recorded(kit.profiled(kit.flights_of(date(2013, 1, 1), date(2013, 2, 1)), kinds), kinds)


def test_slow_drift_is_followed_and_does_not_hide_a_change_of_units():
    kinds, contract = few_columns("distance")
    for number in range(60):  # one percent a night: in the end almost twice as far
        rows = times("distance", 1.01**number)(kit.night(date(2013, 2, 3) + timedelta(days=number)))
        batch = kit.profiled(rows, kinds)
        assert compare(contract, batch) == []
        contract = follow(contract, kit.FLIGHTS, kinds, batch)
    changed = times("distance", 1.01**60 * 100)(kit.night(date(2013, 4, 4)))
    assert "100 times" in compare(contract, kit.profiled(changed, kinds))[0].hypotheses[0].sentence


def test_a_column_with_an_open_difference_does_not_follow():
    batch = kit.profiled(times("distance", 100)(kit.night(NIGHT)))
    contract = follow(kit.january(), kit.FLIGHTS, kit.KINDS, batch, {"distance"})
    assert contract.columns["distance"] == kit.january().columns["distance"]
    assert contract.columns["carrier"] != kit.january().columns["carrier"]


def test_the_same_night_again_is_not_counted_twice():
    batch = kit.profiled(kit.night(NIGHT))
    once = follow(kit.january(), kit.FLIGHTS, kit.KINDS, batch)
    assert follow(once, kit.FLIGHTS, kit.KINDS, batch) == once


def test_the_memory_stays_small():
    contract = kit.january()
    for number in range(40):
        contract = follow(contract, kit.FLIGHTS, kit.KINDS, kit.profiled(kit.night(date(2013, 2, 3) + timedelta(days=number))))
    held = contract.columns["distance"].profile
    assert held is not None
    assert 20 * 900 < held.num_rows < 35 * 1_000
    assert len(contract.model_dump_json()) < 2 * len(kit.january().model_dump_json())


def test_after_an_accepted_outage_the_next_one_is_told_again():
    (kinds, contract), dark = few_columns("dest"), some_null("dest", 1.0)
    batch = kit.profiled(dark(kit.night(NIGHT)), kinds)
    contract = agreed(contract, compare(contract, batch), batch)
    for later in range(4, 60):
        batch = kit.profiled(kit.night(NIGHT + timedelta(days=later)), kinds)
        assert compare(contract, batch) == []
        contract = follow(contract, kit.FLIGHTS, kinds, batch)
    (again,) = compare(contract, kit.profiled(dark(kit.night(NIGHT + timedelta(days=60))), kinds))
    assert again.hypotheses[0].cause == "no value at all"


def test_a_new_feature_and_another_declaration_are_recorded_anew():
    contract = with_column(kit.january(), "distance", profile=None, declared="category")
    batch = kit.profiled(times("distance", 100)(kit.night(NIGHT)))
    assert compare(contract, batch) == []
    after = follow(contract, kit.FLIGHTS, kit.KINDS, batch).columns["distance"]
    assert (after.declared, after.profile) == ("number", batch.columns["distance"])


def test_the_message_says_what_happened_why_and_what_to_do():
    found = kit.differing(times("distance", 1.609344)(kit.night(NIGHT)), kit.january())
    lines = told("public.flights", "flights", kit.january(), found).splitlines()
    assert lines == [
        "public.flights is not what it was on 2013-02-01: 1 difference. Nothing was written.",
        "  distance: recorded: 80 to 4983, median 872; now: 151.278 to 8019.36, median 1403.35",
        "      most likely (90%): distance is now in kilometres instead of miles: values are 1.609 times the recorded ones "
        "(median 872 before, 1403.35 now)",
        "Not meant? Mend the source, then clear this task. Meant? python -m ml contract accept --problem flights --why '...'",
    ]


def test_values_are_compared_only_once_a_week_of_days_is_known_however_often_a_day_is_read():
    def day(number: int) -> pa.Table:
        return kit.flights_of(date(2013, 1, number), date(2013, 1, number + 1))

    contract, in_kilometres = kit.recorded(kit.profiled(day(10))), times("distance", 1.609)
    for number in (10, 10, 10, 10, 10, 10, 10, 9, 8, 7, 6):
        contract = follow(contract, kit.FLIGHTS, kit.KINDS, kit.profiled(day(number)))
    assert contract.young and kit.differing(in_kilometres(day(16)), contract) == []
    for number in (5, 4):
        contract = follow(contract, kit.FLIGHTS, kit.KINDS, kit.profiled(day(number)))
    assert not contract.young and all(one.hypotheses[0].score < SURE for one in kit.differing(day(16), contract))
    sure = [one.column for one in kit.differing(in_kilometres(day(16)), contract) if one.hypotheses[0].score >= SURE]
    assert sure == ["distance"]
