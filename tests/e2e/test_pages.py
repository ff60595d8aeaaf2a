"""What a person sees: the pages of a real Airflow, MLflow and service in a real browser, clicked through.

Every test leaves a picture, in the folder that EVERGREEN_SCREENSHOTS names or among the test's temporary files.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from ml import samples
from ml.card.sections import SILENT, TOLD_ELSEWHERE
from ml.card.words import in_words
from ml.embedded import demo
from ml.embedded.stack import AIRFLOW_USER
from ml.ledger import Ledger
from ml.records import Evaluated, Ingested, Registered, Validated, Verdict
from ml.registry import Registry
from tests.e2e import driving
from tests.e2e.driving import CHROMIUM, FLAGS

pytestmark = pytest.mark.timeout(900)
TASKS = ("ingest", "validate", "report", "decide", "prepare", "train", "evaluate", "rehearse", "gate", "register", "announce")
WAIT_MS = 30_000  # a page's first load compiles and asks for much; on a busy machine that takes seconds
LARGEST = 300_000  # bytes of a picture that a README may show

Picture = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def night(stack, progress) -> date:
    """The first night of flights; it is played unless a champion is there already."""
    if Ledger(stack.settings.database_url).champion("flights") is None:
        nights = int(os.environ.get("EVERGREEN_NIGHTS", "1"))  # pictures look better after some
        assert demo.play(stack, "flights", nights=nights, data=None, progress=progress).complaints == []
    return samples.first_night("flights")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium with a profile of its own."""
    if CHROMIUM is None:
        pytest.skip("neither chromium nor google-chrome is installed; on Debian: apt install chromium")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def signed_in(browser, stack) -> Iterator[BrowserContext]:
    """A person who has logged in to Airflow with the user and the password that the demo prints."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, timezone_id="UTC")
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(stack.airflow_url)
    page.get_by_label("Username").fill(AIRFLOW_USER)
    page.get_by_label("Password").fill(stack.secrets.airflow_password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/login" not in url)
    expect(page.get_by_role("link", name="Dags", exact=True)).to_be_visible()
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(signed_in) -> Iterator[Page]:
    """A new tab of the person who is logged in."""
    tab = signed_in.new_page()
    yield tab
    tab.close()


@pytest.fixture
def visitor(browser) -> Iterator[Page]:
    """A person who is here for the first time."""
    context = browser.new_context(viewport={"width": 1200, "height": 1560}, timezone_id="UTC")
    context.set_default_timeout(WAIT_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def picture(tmp_path) -> Picture:
    """Call it with a page and a name to save what is to be seen."""
    folder = Path(os.environ.get("EVERGREEN_SCREENSHOTS") or tmp_path)

    def save(page: Page, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(700)  # menus that fade and charts that grow have come to rest
        page.screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size < LARGEST

    return save


def open_version(page: Page, stack: Any, version: int = 1) -> None:
    """The version's page, without the panel of MLflow's assistant, which opens by itself at the first visit."""
    page.goto(Registry(stack.mlflow_url).version_url("flights", version))
    expect(page.get_by_role("heading", name=f"Version {version}")).to_be_visible()
    panel = page.get_by_text("Ask questions about your experiments")
    expect(panel).to_be_visible()
    page.get_by_role("button", name="Close").first.click()
    expect(panel).to_be_hidden()


def table(page: Page, column: str) -> Locator:
    """The card's table that has this column."""
    return page.locator("table").filter(has=page.get_by_role("columnheader", name=column))


def test_a_wrong_password_is_refused(stack, visitor, picture):
    visitor.goto(stack.airflow_url)
    visitor.get_by_label("Username").fill(AIRFLOW_USER)
    visitor.get_by_label("Password").fill("not-the-password")
    visitor.get_by_role("button", name="Sign in").click()
    expect(visitor.get_by_text("Invalid credentials")).to_be_visible()
    assert "/login" in visitor.url
    picture(visitor, "airflow-refused")


def test_the_list_of_dags_shows_the_eight_of_the_problem(night, stack, page, picture):
    page.goto(stack.airflow_url)
    page.get_by_role("link", name="Dags", exact=True).click()
    page.get_by_role("link", name="flights", exact=True).first.click()  # the tag
    expect(page.get_by_role("heading", name="8 Dags", exact=True)).to_be_visible()
    for kind in ("retrain", "promote", "deploy", "monitor", "feedback", "backtest", "alerts", "housekeeping"):
        expect(page.get_by_role("link", name=f"{kind}_flights", exact=True).first).to_be_visible()
    picture(page, "airflow-dags")


def test_the_graph_of_the_night_shows_every_task_as_done(night, stack, page, picture):
    page.goto(f"{stack.airflow_url}/dags/retrain_flights/runs/night-{night}")
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_role("button", name="Options").click()
    page.get_by_role("combobox").filter(has_text="Left to Right").click()
    page.get_by_role("option", name="Top to Bottom").click()
    page.keyboard.press("Escape")
    nodes = page.locator(".react-flow__node")
    expect(nodes).to_have_count(len(TASKS))
    for task in TASKS:
        expect(nodes.filter(has_text=task)).to_contain_text("success")
    page.get_by_role("button", name="Fit View").click()
    picture(page, "airflow-graph")


def test_the_form_explains_its_fields_and_starts_a_dry_run(night, stack, page, picture):
    run_id = "a-second-look"
    page.set_viewport_size({"width": 1200, "height": 1100})
    page.goto(f"{stack.airflow_url}/dags/retrain_flights")
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog")
    for title, told in (
        ("Window", "where the last day is not part of it"),
        ("Dry run", "Train and judge, but make no version and ask for no promotion."),
        ("Reason", "Why, in your words. Stays with the run and in its log."),
    ):
        expect(form.get_by_text(title).first).to_be_visible()
        expect(form.get_by_text(told)).to_be_visible()
    form.locator("[name=element_window]").fill("2013-01-01/2013-01-31")
    form.locator("[name=element_reason]").fill("a second look at January")
    form.get_by_role("checkbox", name="Dry run").locator("xpath=..").click()  # the switch that covers the input
    expect(form.get_by_role("checkbox", name="Dry run")).to_be_checked()
    picture(page, "airflow-form")
    form.get_by_role("button", name="Advanced Options").click()
    form.locator("[name=dagRunId]").fill(run_id)
    form.get_by_role("button", name="Trigger").click()
    expect(form).to_be_hidden()
    states = driving.finished(driving.airflow(stack), "retrain_flights", run_id)
    assert (states[""], states["register"], states["announce"]) == ("success", "success", "skipped")
    assert driving.context(stack, "flights", run_id).record(Registered).version is None


def test_a_backfill_is_started_in_the_same_form_and_leaves_unchanged_days_as_they_are(night, stack, page, picture):
    before = driving.context(stack, "flights", "looking").table("raw").version
    page.goto(f"{stack.airflow_url}/dags/retrain_flights")
    page.get_by_role("button", name="Trigger Dag").click()
    form = page.get_by_role("dialog").filter(has_text="retrain_flights")
    form.get_by_text("Backfill").first.click()
    date_field, time_field = (page.get_by_placeholder(text).locator("visible=true") for text in ("YYYY/MM/DD", "HH:mm"))
    for place, day in enumerate(("2013/01/29", "2013/01/31")):
        form.get_by_test_id("datetime-input").nth(place).click()
        date_field.fill(day)
        time_field.fill("00:00")
        page.keyboard.press("Tab")
        page.keyboard.press("Escape")
        expect(date_field).to_have_count(0)  # the calendar fades away; the next one must be alone
    expect(form.get_by_text("2 runs will be triggered.")).to_be_visible()
    form.locator("[name=max_active_runs]").fill("2")
    picture(page, "airflow-backfill")
    form.get_by_role("button", name="Run Backfill").click()
    expect(form).to_be_hidden()
    one = driving.airflow(stack)

    def over() -> Any:
        runs = one._get("/dags/retrain_flights/dagRuns", run_type="backfill", limit=10)["dag_runs"]
        return runs if len(runs) == 2 and all(run["state"] in ("success", "failed") for run in runs) else None

    assert {run["state"] for run in driving.wait_for(over, "both runs of the backfill to end")} == {"success"}
    assert driving.context(stack, "flights", "looking").table("raw").version == before


def test_the_button_of_register_leads_to_the_version_among_the_models(night, stack, page, picture):
    page.goto(f"{stack.airflow_url}/dags/retrain_flights/runs/night-{night}/tasks/register/details")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="MLflow", exact=True).click()
    tab = opened.value
    expect(tab.get_by_role("heading", name="Version 1")).to_be_visible()
    expect(tab.get_by_text("Model registry", exact=True)).to_be_visible()
    picture(tab, "mlflow-from-airflow")
    tab.close()


def follow(page: Page, address: str, button: str) -> None:
    """Click a task's button that leads to a page inside Airflow."""
    page.goto(address)
    page.get_by_role("link", name=button, exact=True).click()
    page.wait_for_url("**/evergreen/**")


def test_the_button_of_validate_leads_to_its_report_which_reads_well_in_the_dark_and_on_a_phone(night, stack, page, picture):
    validated = driving.context(stack, "flights", f"night-{night}").record(Validated)
    follow(page, f"{stack.airflow_url}/dags/retrain_flights/runs/night-{night}/tasks/validate/details", "Validation report")
    expect(page.get_by_role("heading", name="Late arrivals: validation")).to_be_visible()
    expect(page.get_by_text(f"{validated.num_ingested:,} ingested = {validated.num_valid:,} valid")).to_be_visible()
    picture(page, "validation-report")
    page.emulate_media(color_scheme="dark")
    picture(page, "validation-report-dark")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    picture(page, "validation-report-phone")


def test_the_buttons_of_report_lead_to_both_pages(night, stack, page, picture):
    address = f"{stack.airflow_url}/dags/retrain_flights/runs/night-{night}/tasks/report/details"
    follow(page, address, "Validation report")
    expect(page.get_by_role("heading", name="Late arrivals: validation")).to_be_visible()
    follow(page, address, "Data report")
    expect(page.get_by_role("heading", name="Late arrivals: the data")).to_be_visible()
    assert page.locator("svg").count() > 10
    picture(page, "data-report")


def test_a_reports_address_is_of_no_use_to_who_is_not_logged_in(night, stack, visitor):
    answer = visitor.goto(f"{stack.airflow_url}/evergreen/flights/runs/night-{night}/validation.html")
    assert answer is not None
    assert answer.status == 401
    expect(visitor.get_by_text("Late arrivals")).to_be_hidden()


def test_the_button_of_monitor_leads_to_evidentlys_charts_which_draw_in_their_sandbox(night, stack, page, picture):
    follow(page, f"{stack.airflow_url}/dags/monitor_flights/runs/evening-{night}/tasks/monitor/details", "Drift report")
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert page.evaluate("try { document.cookie; 'read' } catch (error) { error.name }") == "SecurityError"
    picture(page, "drift-report")


def test_mlflow_shows_the_validation_report_among_the_runs_artifacts(night, stack, visitor, picture):
    open_version(visitor, stack)
    visitor.get_by_role("link", name=f"night-{night}").click()
    visitor.get_by_role("tab", name="Artifacts").click()
    visitor.get_by_text("validation.html", exact=True).click()
    frame = visitor.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Late arrivals: validation")).to_be_visible()
    expect(frame.get_by_text("Rows and their values are left out here")).to_be_visible()
    visitor.set_viewport_size({"width": 1200, "height": 900})
    picture(visitor, "mlflow-validation-report")


def test_the_version_shows_its_card_alias_and_tags(night, stack, visitor, picture):
    champion = Ledger(stack.settings.database_url).champion("flights")
    assert champion is not None
    context = driving.context(stack, "flights", champion.run_key)
    open_version(visitor, stack, champion.version)
    headings = visitor.get_by_role("heading").all_inner_texts()
    for heading in ("Late arrivals", "Rules", "Data", "How to roll back", "Known limits"):
        assert heading in headings
    for rule in [rule for rule in context.record(Verdict).rules if not rule.rule.startswith(TOLD_ELSEWHERE + SILENT)]:
        row = table(visitor, "found and asked").get_by_role("row").filter(has_text=rule.sentence)
        expect(row).to_contain_text("yes")
    expect(visitor.get_by_text(in_words(context.problem, context.record(Evaluated)))).to_be_visible()
    expect(visitor.get_by_text("@ champion")).to_be_visible()
    expect(visitor.get_by_text("verdict_reason", exact=True)).to_be_attached()
    body = visitor.locator("body").inner_text()
    assert not [mark for mark in ("**", "## ", "| ", ":--") if mark in body]
    picture(visitor, "mlflow-version")


def test_a_plot_of_the_run_is_shown(night, stack, visitor, picture):
    open_version(visitor, stack)
    visitor.get_by_role("link", name=f"night-{night}").click()
    visitor.get_by_role("tab", name="Artifacts").click()
    visitor.get_by_text("plots", exact=True).click()
    visitor.get_by_text("roc.png", exact=True).click()
    plot = visitor.get_by_alt_text("plots/roc.png")
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.naturalWidth") > 300
    picture(visitor, "mlflow-plot")


def demand_accessible(page: Page) -> None:
    """No finding of axe that is serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def read_well(page: Page, picture: Picture, name: str) -> None:
    """The page in light, in the dark, and on a phone: accessible everywhere, and never wider than the screen."""
    for look, scheme, width, height in (("", "light", 1200, 900), ("-dark", "dark", 1200, 900), ("-phone", "light", 375, 800)):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        demand_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture(page, name + look)


def test_evergreen_stands_in_airflows_navigation_wears_its_theme_and_leads_back_to_it(night, stack, page, picture):
    page.goto(stack.airflow_url)
    page.get_by_role("link", name="Evergreen", exact=True).click()
    frame = page.frame_locator("iframe[title=Evergreen]")
    expect(frame.get_by_role("heading", name="All problems")).to_be_visible()
    champion = Ledger(stack.settings.database_url).champion("flights")
    assert champion is not None
    expect(frame.locator("[aria-labelledby=p-flights]")).to_contain_text(f"Version {champion.version}")
    frame.locator("[aria-labelledby=p-flights]").get_by_role("link", name="Late arrivals").click()
    expect(frame.get_by_role("heading", name="Last night")).to_be_visible()
    page.wait_for_url("**/plugin/evergreen/evergreen/flights")  # so that the address can be passed on
    page.evaluate("document.documentElement.classList.add('dark')")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    picture(page, "evergreen-in-airflow")
    frame.get_by_role("link", name="DAGs", exact=True).click()
    page.wait_for_url("**/dags?tags=flights")


@pytest.mark.slow
def test_the_fleet_and_a_problem_read_well_in_light_in_the_dark_and_on_a_phone(night, stack, page, picture):
    (stack.problems / "torn.toml").write_text("[problem\n")
    try:
        page.goto(f"{stack.airflow_url}/evergreen/")
        expect(page.get_by_text("torn.toml is not valid TOML")).to_be_visible()
        demand_accessible(page)
    finally:
        (stack.problems / "torn.toml").unlink()
    page.reload()
    read_well(page, picture, "fleet")
    page.goto(f"{stack.airflow_url}/evergreen/flights")
    champion = Ledger(stack.settings.database_url).champion("flights")  # of the newest night that other tests have played, too
    assert champion is not None
    read = driving.context(stack, "flights", champion.run_key).record(Ingested)
    expect(page.get_by_role("cell", name=f"{read.num_rows:,}", exact=True).first).to_be_visible()
    for said in (f"Version {champion.version} became champion", "Every rule held", "flights"):
        expect(page.get_by_text(said).first).to_be_visible()
    expect(page.get_by_role("link", name="The run in Airflow")).to_have_attribute(
        "href", re.compile("/dags/retrain_flights/runs/")
    )
    assert page.get_by_role("img", name="roc").evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    read_well(page, picture, "problem")
    for what in ("Retrain", "Promote", "Deploy", "Roll back"):
        page.goto(f"{stack.airflow_url}/evergreen/flights")
        page.get_by_role("link", name=what, exact=True).click()
        expect(page.get_by_role("heading", name=what)).to_be_visible()
        demand_accessible(page)


@pytest.mark.slow
def test_a_button_leads_to_a_form_whose_run_is_started_in_the_persons_name_and_moves_nothing_it_may_not(
    night, stack, page, picture
):
    one, ledger = driving.airflow(stack), Ledger(stack.settings.database_url)
    before, ever = ledger.champion("flights"), {move.run_key for move in ledger.moves("flights")}
    page.goto(f"{stack.airflow_url}/evergreen/flights")
    page.get_by_role("link", name="Roll back", exact=True).click()
    expect(page.get_by_label("Back to version").get_by_role("option")).to_have_count(len(ever))  # the one before, each earlier
    picture(page, "roll-back")
    page.goto(f"{stack.airflow_url}/evergreen/flights")
    page.get_by_role("link", name="Deploy", exact=True).click()
    page.get_by_label("Comment").fill("to be sure that it answers")
    page.get_by_role("button", name="Deploy").click()
    page.wait_for_url("**/evergreen/flights*")
    found = one._get("/dags/deploy_flights/dagRuns", run_type="manual", order_by="-run_after", limit=1)["dag_runs"][0]
    assert found["conf"]["comment"] == "to be sure that it answers"
    assert found["triggering_user_name"] == AIRFLOW_USER
    assert driving.finished(one, "deploy_flights", found["dag_run_id"])[""] == "success"
    assert ledger.champion("flights") == before


def test_the_service_describes_its_interface(stack, visitor, picture):
    """The page /docs shows the description, which comes from the service itself, and leads to the form of a problem."""
    answer = visitor.goto(f"{stack.serving_url}/openapi.json")
    assert answer is not None
    described = json.loads(answer.text())
    assert described["openapi"].startswith("3.")
    assert "post" in described["paths"]["/problems/{problem}/predict"]
    for reference in references(described):
        found = described
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
    visitor.set_viewport_size({"width": 900, "height": 900})
    visitor.goto(f"{stack.serving_url}/docs")
    visitor.get_by_text("/problems/{problem}/predict").click()
    expect(visitor.locator("details[open]").get_by_text("curl -X POST").first).to_be_visible()
    picture(visitor, "service-interface")
    visitor.get_by_role("link", name="Late arrivals").first.click()
    visitor.get_by_role("button", name="Ask").click()
    expect(visitor.get_by_role("status")).to_contain_text("which means")
    picture(visitor, "service-form")


def references(content: Any) -> list[str]:
    """Every $ref in a JSON document."""
    if isinstance(content, list):
        return [found for value in content for found in references(value)]
    if not isinstance(content, dict):
        return []
    own = [content["$ref"]] if isinstance(content.get("$ref"), str) else []
    return own + [found for value in content.values() for found in references(value)]
