"""The button "backtest" through the real Airflow: its form's fields by REST, a short span, and the page behind the login."""

import httpx
import pytest

from ml.records.backtest import Backtested
from tests.e2e import driving

pytestmark = [pytest.mark.timeout(1500), pytest.mark.slow]
RUN, SPAN = "tried", ("2013-02-10", "2013-02-12")
POLICIES = ["never", "drift"]
ASKED = {"first": SPAN[0], "last": SPAN[1], "policies": POLICIES, "workers": 2, "sample": True}


@pytest.fixture(scope="module")
def states(stack):
    """How the tasks of the run ended."""
    one = driving.airflow(stack)
    one.wait_for_dag("backtest_flights")
    one.trigger("backtest_flights", RUN, conf=ASKED)
    return driving.finished(one, "backtest_flights", RUN, timeout_s=1200)


@pytest.fixture(scope="module")
def page(stack, states) -> str:
    """Where the button "Backtest report" leads."""
    links = driving.airflow(stack)._get(f"/dags/backtest_flights/dagRuns/{RUN}/taskInstances/backtest/links")
    return str(links["extra_links"]["Backtest report"])


def test_the_span_is_played_under_the_policies_of_the_form(stack, states):
    assert states == {"": "success", "backtest": "success"}
    record = driving.context(stack, "flights", RUN).record(Backtested)
    assert (str(record.start), str(record.end), record.history) == (*SPAN, "the sample flights")
    assert [one.policy for one in record.policies] == POLICIES
    assert all(one.num_nights == 2 and one.num_trained and one.num_promoted for one in record.policies)
    one = driving.airflow(stack)
    (task,) = one.tasks("backtest_flights", RUN)  # a busy machine may have cost it a try: the next one goes on
    said = one._get(f"/dags/backtest_flights/dagRuns/{RUN}/taskInstances/backtest/logs/{task['try_number']}")["content"]
    assert any(record.sentence in str(line) for line in said)


def test_the_button_leads_to_the_page_for_whoever_is_logged_in_and_for_nobody_else(stack, page):
    assert page.startswith(stack.airflow_url)
    assert httpx.get(page, trust_env=False).status_code == 401
    answer = driving.airflow(stack)._client.get(page)
    assert answer.status_code == 200
    assert all(f"<h3>{policy}</h3>" in answer.text for policy in POLICIES)


def test_what_is_no_field_of_the_form_is_refused_by_name(stack, states):
    one = driving.airflow(stack)
    one.trigger("backtest_flights", "misspelt", conf=ASKED | {"policy": "never"})
    assert driving.finished(one, "backtest_flights", "misspelt")[""] == "failed"
    assert "'policy', which this DAG does not know" in one.error(
        "backtest_flights", "misspelt", one.tasks("backtest_flights", "misspelt")[0]
    )
