"""The data report on real tables, with a real request log, in a real browser."""

import json
import os
import re
import shutil
import tomllib
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from ml import problem as problems
from ml import requests, settings, source, understand
from ml.context import Context
from ml.database import connect, migrate
from ml.ledger import Champion, Ledger
from ml.problem import Problem
from ml.records import Validated
from ml.samples import SAMPLES
from ml.settings import PROJECT
from ml.tables import DAY
from ml.window import Window

NIGHT = "2013-02-02T03:00:00-05:00"
LARGEST = 3_000_000  # bytes of a page
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SHOP = """
[problem]
name = "orders"
title = "Returned orders"
task = "binary"
owner = "tests"
positive = "returned"
rows = "orders"
[source]
table = "orders"
key = "id"
event_time = "at"
label = "returned"
label_time = "known_at"
[features]
colour = {type = "category"}
price = {type = "number", unit = "USD"}
"""


def stored(about: Problem, history: pa.Table, now: datetime) -> pa.Table:
    """Rows as validation leaves them: declared columns as known at a moment, and the day of the event."""
    kinds, fields = source.columns(about), about.source
    rows = pa.table({name: history[name].cast(source.ARROW[kind]) for name, kind in kinds.items()})
    local = pc.local_timestamp(rows[fields.event_time].cast(pa.timestamp("s", fields.timezone)))
    rows = rows.append_column(DAY, pc.strftime(local, "%Y-%m-%d"))
    rows = rows.filter(pc.less(rows[DAY], f"{now:%Y-%m-%d}"))
    known = pc.fill_null(pc.less_equal(rows[fields.label_time], pa.scalar(now, pa.timestamp("us", "UTC"))), False)
    for name in (fields.label, fields.label_time):
        hidden = pc.if_else(known, rows[name], pa.nulls(rows.num_rows, rows[name].type))
        rows = rows.set_column(rows.column_names.index(name), name, hidden)
    return rows


def opened(about: Problem, home: Path, database: str, now: str, run_key: str = "report") -> Context:
    (home / "clock").write_text(now)
    given = {"STORE": home / "store", "CACHE": home / "cache", "CLOCK_FILE": home / "clock", "DATABASE_URL": database}
    return Context(about, settings.read({f"EVERGREEN_{name}": str(value) for name, value in given.items()}), run_key)


def put(context: Context, rows: pa.Table) -> None:
    days = pc.min_max(rows[DAY]).as_py()
    window = Window(date.fromisoformat(days["min"]), date.fromisoformat(days["max"]) + timedelta(days=1))
    context.table("valid").replace(window, rows)


def page_of(context: Context) -> str:
    html = context.store.read(context.name("data.html")).decode()
    assert len(html) < LARGEST
    assert "<script" not in html
    assert re.findall(r"""(?:src|href|url\()=?["'(]?\s*(?:https?:)?//""", html) == []
    assert re.search(r'(?:src|href)="(?!#)', html) is None
    return html


def outcome(record: understand.Reported, name: str) -> str:
    return next(check.outcome for check in record.checks if check.name == name)


@pytest.fixture(scope="module")
def history() -> pa.Table:
    rows = SAMPLES["flights"].read(None)
    return rows.slice(0, 28_500)  # January and the first days of February


@pytest.fixture
def flights(tmp_path, database, history) -> Context:
    """A month of flights in the table `valid`, and a database without a champion."""
    url = database("report")
    migrate(url)
    about = problems.load("flights", PROJECT / "ml" / "problems")
    context = opened(about, tmp_path, url, NIGHT)
    put(context, stored(about, history, datetime.fromisoformat(NIGHT)))
    return context


def serve(context: Context, rows: list[dict], at: datetime) -> None:
    """A champion and requests that it answered."""
    ledger = Ledger(context.settings.database_url)
    ledger.move("flights", to=Champion(1, "made", "digest"), expected=None, kind="promote", key="made", actor="test")
    asked = requests.Request(
        request_id="one",
        problem="flights",
        version=1,
        served_at=at,
        keys=[None] * len(rows),
        rows=rows,
        answers=[{"score": 0.1, "decision": False}] * len(rows),
    )
    with closing(connect(context.settings.database_url)) as connection:
        requests.append(connection, [asked])


def rows_as_asked(context: Context, history: pa.Table, day: str = "2013-02-01") -> list[dict]:
    """What clients send about the flights of a day."""
    rows = stored(context.problem, history, datetime(2013, 3, 1, tzinfo=UTC))
    of_day = rows.filter(pc.equal(rows[DAY], day)).select(list(context.problem.features))
    return [{name: _plain(value) for name, value in row.items()} for row in of_day.to_pylist()]


def _plain(value):
    return value.isoformat() if isinstance(value, datetime) else value


def test_a_month_of_real_flights_has_nothing_to_complain_about_but_its_last_day(flights, history):
    serve(flights, rows_as_asked(flights, history), datetime(2013, 2, 1, 18, tzinfo=UTC))
    record = understand.run(flights)
    assert [(found.severity, found.subject) for found in record.findings] == [("note", "labels 2013-02-01")]
    assert {check.outcome for check in record.checks} == {"found", "nothing found"}
    html = page_of(flights)
    for told in ("Late arrivals: the data", "Labels of 2013-02-01 are not complete yet", "rows of the same days", "wind_gust"):
        assert told in html
    assert html.index("Findings</h2>") < html.index("Labels over time</h2>") < html.index("Columns</h2>")
    assert html.count("<svg") > 2 * len(flights.problem.features)
    assert html.count("<svg") == html.count('role="img" aria-label=')
    assert json.loads(flights.store.read(flights.name("data.json")))["record"] == record.model_dump(mode="json")


def test_the_same_rows_give_the_same_page_whatever_their_order(flights):
    understand.run(flights)
    once = page_of(flights)
    rows = flights.table("valid").read(Window(date(2013, 1, 1), date(2013, 2, 2)))
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    other = replace(flights, run_key="again", settings=replace(flights.settings, store=f"{flights.settings.store}-2"))
    put(other, shuffled)
    understand.run(other)
    assert page_of(other) == once


def test_what_requests_lack_and_whom_they_leave_out_is_found(flights, history):
    asked = [row for row in rows_as_asked(flights, history) if row["origin"] == "EWR"]
    for row in asked:
        row["humid"] = None
        row.pop("plane_seats")
        row["plane_type"] = "Zeppelin"
    serve(flights, asked, datetime(2013, 2, 1, 18, tzinfo=UTC))
    found = {(one.check, one.subject.partition(",")[0]): one.severity for one in understand.run(flights).findings}
    assert found["absent at serving", "humid"] == "serious"
    assert found["absent at serving", "plane_seats"] == "serious"
    assert found["absent at serving", "plane_type"] == "warning"
    assert {check for check, _ in found} == {"labels", "absent at serving", "sampling bias"}
    assert "learned</td>" not in page_of(flights)
    assert "Zeppelin" in page_of(flights)


def test_without_champion_or_database_the_page_still_comes_and_says_so(flights):
    record = understand.run(flights)
    assert outcome(record, "sampling bias") == "not assessable"
    assert "no champion serves yet" in page_of(flights)
    away = replace(flights, run_key="away", settings=replace(flights.settings, database_url="postgresql://127.0.0.1:1/none"))
    assert outcome(understand.run(away), "absent at serving") == "not assessable"
    assert "requests could not be read" in page_of(away)


def test_outcomes_in_the_table_are_suspects(flights, history):
    moment = datetime.fromisoformat(NIGHT)
    rows = stored(flights.problem, history, moment)
    late = history.filter(pc.is_in(history["flight_id"], rows["flight_id"].combine_chunks()))
    order = pc.index_in(rows["flight_id"], late["flight_id"].combine_chunks())
    delays = late["arr_delay"].take(order)
    known = pc.is_valid(rows["late_15"])
    put(flights, rows.append_column("arr_delay", pc.if_else(known, delays, pa.nulls(rows.num_rows, delays.type))))
    found = {(one.check, one.subject) for one in understand.run(flights).findings}
    assert {("leakage", "arr_delay"), ("filled after the label", "arr_delay")} <= found
    assert "(no feature)" in page_of(flights)


def test_a_night_reads_its_memory_as_validated_and_its_own_split(flights, history):
    night = replace(flights, run_key="night")
    version = night.table("valid").version
    days = {"start": date(2013, 1, 29), "end": date(2013, 2, 2)}
    night.write(Validated(**days, version=version, num_ingested=0, num_valid=0, num_quarantined=0, rules=()))
    rows = night.table("valid").read(Window(date(2013, 1, 1), date(2013, 1, 31)), version=version)
    put(
        flights, rows.slice(0, 0).append_column("_", pa.array([], pa.string())).drop_columns("_") if False else rows.slice(0, 500)
    )
    labelled = rows.filter(pc.is_valid(rows["late_15"])).sort_by(DAY)
    part = ["train"] * (labelled.num_rows - 4000) + ["test"] * 4000
    frozen = labelled.select(list(night.problem.features)).append_column("_key", labelled["flight_id"])
    frozen = frozen.append_column("_label", labelled["late_15"]).append_column("_part", pa.array(part))
    copies = frozen.slice(0, 400).set_column(frozen.num_columns - 1, "_part", pa.array(["test"] * 400))
    with night.store.replacing(night.name("rows.parquet")) as path:
        pq.write_table(pa.concat_tables([frozen, copies]), path)
    record = understand.run(night)
    assert record.version == version
    assert record.num_rows > 27_000
    (found,) = [one for one in record.findings if one.subject == "keys"]
    assert (found.severity, found.numbers["keys"]) == ("serious", 400)


def orders(days: int, size: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, days * 86_400, size)) * 1_000_000 + int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    moments = pa.array(at).cast(pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "id": [f"o{n}" for n in range(size)],
            "at": moments,
            "returned": pa.array(rng.random(size) < 0.3),
            "known_at": pc.add(moments, pa.scalar(86_400_000_000, pa.duration("us"))),
            "colour": rng.choice(["red", "green", "blue"], size).tolist(),
            "price": rng.gamma(2, 20, size),
            DAY: pc.strftime(moments, "%Y-%m-%d"),
        }
    )


@pytest.fixture
def shop(tmp_path) -> Context:
    """A small problem without a database."""
    about = Problem.model_validate(tomllib.loads(SHOP))
    return opened(about, tmp_path, "postgresql://127.0.0.1:1/none", "2026-03-01T03:00:00+00:00")


def with_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    place = rows.column_names.index(name)
    return rows.set_column(place, name, values)


ODD = {
    "one row": lambda: orders(1, 1),
    "one day": lambda: orders(1, 400),
    "no label": lambda: with_column(orders(40, 2000), "returned", pa.nulls(2000, pa.bool_())),
    "one class": lambda: with_column(orders(40, 2000), "returned", pa.array([False] * 2000)),
    "no values": lambda: with_column(
        with_column(orders(40, 2000), "price", pa.nulls(2000, pa.float64())), "colour", pa.nulls(2000, pa.string())
    ),
    "absurd numbers": lambda: with_column(
        orders(40, 2000), "price", pa.array([np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 0.0, -0.0] * 250)
    ),
    "no time of the label": lambda: with_column(orders(40, 2000), "known_at", pa.nulls(2000, pa.timestamp("us", "UTC"))),
    "years apart": lambda: pa.concat_tables(
        [
            orders(1, 300),
            with_column(
                with_column(orders(1, 300, 1), DAY, pa.array(["1971-05-05"] * 300)), "id", pa.array(map(str, range(300)))
            ),
        ]
    ),
}


@pytest.mark.parametrize("rows", ODD.values(), ids=ODD)
def test_odd_tables_have_a_page_too(shop, rows):
    put(shop, rows())
    record = understand.run(shop)
    assert record.num_rows == rows().num_rows
    html = page_of(shop)
    for check in record.checks:
        assert check.about in html
    assert all(check.detail for check in record.checks)


def test_an_empty_table_and_an_empty_window_say_that_there_is_nothing(shop):
    record = understand.run(shop)
    assert {check.outcome for check in record.checks} == {"not assessable"}
    assert "There is nothing to show yet" in page_of(shop)
    put(shop, orders(5, 100))
    for key, window in (("early", "2020-01-01"), ("late", "2030-01-01/2030-01-08")):
        away = replace(shop, run_key=key, window=window)
        assert understand.run(away).num_rows == 0
        assert f"has no rows in {window}; it holds 20" in page_of(away)


def test_a_window_is_shown_beside_the_days_before_it(shop):
    put(shop, orders(40, 4000))
    record = understand.run(replace(shop, window="2026-01-20/2026-01-25"))
    assert (record.start, record.end) == (date(2026, 1, 20), date(2026, 1, 25))
    assert 0 < record.num_rows < 3000


def test_a_thousand_columns_stay_one_page(shop):
    rows = orders(20, 1500)
    rng = np.random.default_rng(1)
    for number in range(1000):
        rows = rows.append_column(f"extra_{number}", pa.array(rng.normal(size=1500)))
    put(shop, rows)
    record = understand.run(shop)
    html = page_of(shop)
    assert record.findings == () or all(found.check != "leakage" for found in record.findings)
    assert "All 1002 columns" in html
    assert "extra_999" in html


HOSTILE = [
    "<script>alert(1)</script>",
    "$x^2$ \\frac",
    "a\x00b\x0b",
    "]]>",
    "&amp;",
    "日本語",
    "\u202eevil",
    "x" * 5000,
    "{{ 7*7 }}",
    "'\"><img src=x>",
]


def test_hostile_values_and_names_are_text(shop):
    rows = with_column(orders(40, 2000), "colour", pa.array(HOSTILE * 200))
    rows = rows.append_column("<b>name</b>", pa.array(HOSTILE * 200))
    put(
        shop,
        rows.append_column(
            "story",
            pa.array([f"{value} and a long story about order {n}, so it is a text" for n, value in enumerate(HOSTILE * 200)]),
        ),
    )
    understand.run(shop)
    html = page_of(shop)
    assert "&lt;script&gt;" in html
    assert "<img" not in html
    assert "<b>name" not in html
    assert "49" not in re.findall(r"\{\{[^}]*\}\}", html)
    assert "x" * 400 not in html


def cli(context: Context, *arguments: str) -> Result:
    from ml.cli.app import app

    home = Path(context.settings.store).parent
    (home / "orders.toml").write_text(SHOP)
    given = {
        "STORE": context.settings.store,
        "PROBLEMS": home,
        "CACHE": home / "cache",
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
    }
    environment = {f"EVERGREEN_{name}": str(value) for name, value in given.items()}
    unset = {name: None for name in os.environ if name.startswith("EVERGREEN_")}
    return CliRunner().invoke(app, ["data", "report", "--problem", "orders", *arguments], env={**unset, **environment})


def test_the_command_writes_the_page_where_asked_and_prints_what_it_found(shop, tmp_path):
    put(shop, orders(40, 2000))
    done = cli(shop, "--out", str(tmp_path / "page.html"), "--run", "mine")
    assert done.exit_code == 0, done.output
    assert "not assessable: rows learned from against rows served" in done.output
    assert (tmp_path / "page.html").read_bytes() == shop.store.read("runs/mine/data.html")
    told = json.loads(cli(shop, "--json", "--window", "2026-01-20/2026-01-25").stdout)
    assert told["start"] == "2026-01-20"
    assert Path(told["page"]).is_file()


def test_the_command_refuses_a_file_in_no_folder(shop, tmp_path):
    put(shop, orders(5, 100))
    assert "is no folder" in str(cli(shop, "--out", str(tmp_path / "no" / "page.html")).exception)


@pytest.mark.skipif(CHROMIUM is None, reason="neither chromium nor google-chrome is installed; on Debian: apt install chromium")
def test_the_page_fits_a_phone_and_loads_nothing(flights, tmp_path):
    from playwright.sync_api import sync_playwright

    understand.run(flights)
    (tmp_path / "page.html").write_text(page_of(flights))
    seen: list[str] = []
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme="dark").new_page()
        page.on("request", lambda request: seen.append(request.url))
        page.on("console", lambda message: seen.append(message.text))
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.get_by_role("link", name="What goes together").click()
        assert page.locator("#links").is_visible()
        assert page.locator("figure[role=img][aria-label]").count() == page.locator("svg").count() > 20
        browser.close()
    assert [url for url in seen if "page.html" not in url] == []


@pytest.mark.real_data
def test_the_page_about_the_complaints_says_that_the_last_months_are_incomplete(tmp_path):
    folder = Path(os.environ.get("EVERGREEN_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the CFPB extracts are not at {folder}: set EVERGREEN_DATA to their folder")
    about = problems.load("complaints", PROJECT / "ml" / "problems")
    context = opened(about, tmp_path, "postgresql://127.0.0.1:1/none", "2026-01-01T00:00:00+00:00")
    rows = stored(about, SAMPLES["complaints"].read(folder), datetime(2026, 1, 1, tzinfo=UTC))
    put(context, rows.filter(pc.greater_equal(rows[DAY], "2016-01-01")))
    record = understand.run(context)
    (found,) = record.findings
    assert (found.check, found.severity) == ("labels", "serious")
    assert "13.7% in 2017-03, 6.3% in 2017-04" in found.sentence
    html = page_of(context)
    assert "Labels of 2017-03-12 to 2017-04-22 are incomplete" in html
    assert "Map</h2>" in html
    assert "Texts</h2>" in html
    assert record.num_sampled <= 100_000 < record.num_rows
