"""A person approves in Airflow, in a real browser: what they see, what their answer moves, and what becomes of the alias that
somebody moves in MLflow by hand.
"""

import os
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from ml.embedded.stack import AIRFLOW_USER
from ml.ledger import Ledger
from ml.registry import Registry
from tests.e2e import driving
from tests.e2e.driving import CHROMIUM, FLAGS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
NAME = "asked"
PROMOTE, DEPLOY = f"promote_{NAME}", f"deploy_{NAME}"
WAIT_MS = 60_000


def candidate(stack: Any, run_id: str, night: str, window: str) -> str:
    """Train and judge a candidate; returns the run that asks a person about it."""
    one = driving.airflow(stack)
    driving.set_clock(stack, f"{night}T03:00:00-05:00")
    one.wait_for_dag(f"retrain_{NAME}")
    one.trigger(f"retrain_{NAME}", run_id, conf={"window": window})
    assert driving.finished(one, f"retrain_{NAME}", run_id)[""] == "success", "a pending approval never lives in retrain"
    asking = driving.wait_for(lambda: one.started_by(PROMOTE, f"retrain_{NAME}", run_id), f"{run_id} to be asked about")
    driving.wait_for(lambda: waits(stack, asking), f"{asking} to wait for a person")
    return str(asking)


def waits(stack: Any, run_id: str) -> bool:
    return driving.task_state(driving.airflow(stack), PROMOTE, run_id, "approve") == "awaiting_input"


def ledger(stack: Any) -> Ledger:
    return Ledger(stack.settings.database_url)


def last(stack: Any) -> Any:
    return ledger(stack).entries(NAME)[-1]


def champion(stack: Any) -> int | None:
    found = ledger(stack).champion(NAME)
    return found and found.version


def alias(stack: Any) -> int | None:
    return Registry(stack.mlflow_url).alias(NAME, "champion")


def answer_by_rest(stack: Any, run_id: str, choice: str, words: str) -> httpx.Response:
    path = f"/dags/{PROMOTE}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"
    return driving.airflow(stack)._client.patch(path, json={"chosen_options": [choice], "params_input": {"words": words}})


def answer_in_the_browser(stack: Any, run_id: str, words: str, folder: Path) -> str:
    """Open the required action, read it, write a comment, approve; returns the text of the page."""
    with sync_playwright() as playwright:
        assert CHROMIUM
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 1500})
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        page.goto(stack.airflow_url)
        page.get_by_label("Username").fill(AIRFLOW_USER)
        page.get_by_label("Password").fill(stack.secrets.airflow_password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "/login" not in url)
        page.goto(f"{stack.airflow_url}/evergreen/")
        page.locator(f"[aria-labelledby=p-{NAME}]").get_by_role("link", name="waits for your answer").click()
        page.wait_for_url(f"**/dags/{PROMOTE}/runs/{run_id}/tasks/approve/required_actions")
        expect(page.get_by_text("Verdict: promote.")).to_be_visible()
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "airflow-approval.png")
        text = page.locator("body").inner_text()
        page.locator("[name=element_words]").fill(words)
        page.screenshot(path=folder / "airflow-approval-comment.png")
        page.get_by_role("button", name="Approve", exact=True).click()
        driving.wait_for(lambda: not waits(stack, run_id), "the answer to arrive")
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "airflow-approval-answered.png")
        text += look_at_the_version(stack, page, folder)
        browser.close()
    return text


def look_at_the_version(stack: Any, page: Page, folder: Path) -> str:
    """The page that the question links to, with its plots, its tags and who approved."""
    page.set_viewport_size({"width": 1200, "height": 3000})
    driving.wait_for(lambda: champion(stack) == 2, "the approval to be carried out")
    page.goto(Registry(stack.mlflow_url).version_url(NAME, 2))
    plot = page.locator('img[src*="calibration.png"]')
    expect(plot).to_be_visible()
    assert plot.evaluate("image => image.complete && image.naturalWidth") > 300
    for told in ("Known limits", "plots and files in MLflow", "the run in Airflow", "approval_comment", "fewer false alarms"):
        expect(page.get_by_text(told, exact=True).first).to_be_attached()
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / "mlflow-version-approved.png")
    return page.locator("body").inner_text()


def test_a_person_is_asked_and_only_a_fitting_answer_moves_the_champion(stack, tmp_path):
    """One story, because its parts need each other's champion: two candidates, four answers, two moves by hand."""
    if CHROMIUM is None:
        pytest.skip("neither chromium nor google-chrome is installed; on Debian: apt install chromium")
    folder = Path(os.environ.get("EVERGREEN_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    driving.add_problem(stack, NAME, lambda text: text.replace('approval = "auto"', 'approval = "manual"'))
    one = driving.airflow(stack)
    first = candidate(stack, "first", "2013-02-01", "2013-01-01/2013-02-01")
    second = candidate(stack, "second", "2013-02-02", "2013-01-02/2013-02-02")
    assert waits(stack, first), "both wait side by side"

    # an answer to the older one is refused, in words
    assert answer_by_rest(stack, first, "Approve", "why not").status_code == 200
    assert driving.finished(one, PROMOTE, first)[""] == "failed"
    assert (last(stack).kind, last(stack).actor, last(stack).version) == ("refused", f"airflow:{AIRFLOW_USER}", 1)
    told = one.error(PROMOTE, first, next(task for task in one.tasks(PROMOTE, first) if task["task_id"] == "promote"))
    assert "version 2 is a newer candidate" in told
    assert champion(stack) is None

    # the newer one is approved in the browser
    shown = answer_in_the_browser(stack, second, "fewer false alarms", folder)
    for part in ("may version 2 become the champion", "On a usual day of", "against the", "compared with no champion", "Comment"):
        assert part in shown, part
    assert not [mark for mark in ("**", "## ", "| ", ":--", "](http") if mark in shown], "the page renders the Markdown"
    assert driving.finished(one, PROMOTE, second)[""] == "success"
    assert driving.set_off(one, DEPLOY, PROMOTE, second)[""] == "success"
    assert (champion(stack), alias(stack)) == (2, 2)
    kept = {entry.kind: entry for entry in ledger(stack).entries(NAME)}
    assert (kept["approved"].actor, kept["approved"].body["comment"]) == (f"airflow:{AIRFLOW_USER}", "fewer false alarms")
    assert kept["promote"].actor == f"airflow:{AIRFLOW_USER}"
    tags = Registry(stack.mlflow_url).version(NAME, 2).tags  # type: ignore[union-attr]
    assert (tags["approval"], tags["approval_comment"]) == ("approved", "fewer false alarms")
    assert answer_by_rest(stack, second, "Reject", "too late").status_code == 409

    # moved by hand to a version that was judged against another champion: the watcher sees it, it is put back
    client = Registry(stack.mlflow_url)._client
    client.set_registered_model_alias(NAME, "champion", "1")
    driving.wait_for(lambda: last(stack).kind == "alias_refused", "the watcher to see the alias", 120)
    driving.wait_for(lambda: alias(stack) == 2, "the alias to be put back")
    assert (champion(stack), last(stack).actor) == (2, "mlflow:unknown")

    # under the policy "follow" the same move is obeyed, and deployed
    file = stack.problems / f"{NAME}.toml"
    file.write_text(file.read_text().replace("[gate]\n", '[gate]\nmanual_moves = "follow"\n', 1))
    client.set_registered_model_alias(NAME, "champion", "1")
    driving.wait_for(lambda: champion(stack) == 1, "the watcher to see the alias", 120)
    moved = ledger(stack).moves(NAME)[-1]
    assert (moved.kind, moved.actor, moved.body["by_hand"]) == ("promote", "mlflow:unknown", True)
    service = f"{stack.serving_url}/problems/{NAME}"
    driving.wait_for(lambda: httpx.get(service, trust_env=False).json().get("version") == 1, "the service to follow")
    assert alias(stack) == 1

    # only those whom the problem names may answer, and nobody does: the time is over, the real scheduler says no
    file.write_text(file.read_text().replace("[gate]\n", '[gate]\napprovers = ["somebody else"]\n', 1))
    one.trigger(PROMOTE, "silence", conf={"version": 2})
    driving.wait_for(lambda: waits(stack, "silence"), "the question about version 2")
    assert answer_by_rest(stack, "silence", "Approve", "let me").status_code == 403
    with psycopg2.connect(stack._addresses.airflow) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE task_instance SET trigger_timeout = now() - interval '1 minute' WHERE run_id = 'silence'")
    states = driving.finished(one, PROMOTE, "silence")
    assert (states[""], states["approve"], states["promote"]) == ("success", "success", "skipped")
    assert (last(stack).kind, last(stack).actor, last(stack).version) == ("rejected", "airflow", 2)
    assert champion(stack) == 1
