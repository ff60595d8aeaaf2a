"""Several workers behave as one service: they swap together, survive each other, and need nobody to start from what they had."""

import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from ml import requests
from ml.database import migrate
from ml.ledger import Ledger
from tests.integration.serving_kit import ROWS, TOKEN, Service, make_model, make_postgres, promote, running, score_of, traffic

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
WORKERS = 2


@pytest.fixture(scope="module")
def service(database, tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("workers"), database("workers"), workers=WORKERS)
    for problem in ("flights", "later"):
        service.add_problem(problem)
    with running(service):
        service.wait_for(lambda health: len(health["workers"]) == WORKERS, 90)
        yield service


@pytest.fixture(scope="module")
def versions(service):
    return [make_model(service.store, "flights", number) for number in (100, 200, 300)]


def versions_heard(service: Service, num: int = 40) -> set[int]:
    """Versions that answer new connections, enough of them to meet every worker."""
    return {service.predict("flights", ROWS[:1]).json()["version"] for _ in range(num)}


def test_when_a_move_is_answered_no_worker_answers_with_the_version_before(service, versions):
    for version in (*versions, *versions[:2]):
        assert service.put("flights", version).status_code == 200
        assert versions_heard(service) == {version.version}


def test_a_version_that_is_refused_changes_no_worker(service, versions):
    assert service.put("flights", versions[0]).status_code == 200
    assert service.put("flights", versions[1].model_copy(update={"model_digest": "0" * 64})).status_code == 409
    assert versions_heard(service) == {100}
    assert any("has been changed" in complaint for complaint in service.health()["complaints"])
    assert service.put("flights", versions[0]).status_code == 200
    service.wait_for(lambda health: not health["complaints"])


def test_a_withdrawn_version_is_withdrawn_everywhere_and_a_new_problem_found_everywhere(service, versions):
    service.put("flights", versions[0])
    httpx.delete(f"{service.url}/problems/flights/version", headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status()
    assert {service.predict("flights", ROWS).status_code for _ in range(20)} == {503}
    service.add_problem("new")
    assert service.put("new", make_model(service.store, "new", 7)).status_code == 200
    assert {service.predict("new", ROWS).json()["version"] for _ in range(20)} == {7}


def test_a_killed_worker_takes_only_what_it_was_answering_with_it(service, versions):
    assert service.put("flights", versions[2]).status_code == 200
    before = service.health()["workers"]
    with traffic(service) as heard:
        for pid in before:
            time.sleep(0.5)
            os.kill(pid, signal.SIGKILL)
            service.wait_for(lambda health, pid=pid: len(health["workers"]) == WORKERS and pid not in health["workers"], 90)
    assert not heard.refused
    assert len(heard.broken) <= 4 * len(before)  # at most one request of each client each time
    assert {answer["version"] for answer in heard.answers} == {300}
    assert versions_heard(service) == {300}
    service.wait_logged()
    logged = requests.read(service.database_url, "flights", *EVER)["request_id"].to_pylist()
    assert {answer["request_id"] for answer in heard.answers} <= set(logged)


def test_more_than_can_be_answered_soon_is_refused_at_once_and_small_requests_go_on(service, versions):
    assert service.put("flights", versions[0]).status_code == 200
    body = json.dumps({"rows": [ROWS[0]] * 10_000}).encode()

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{service.url}/problems/flights/predict", content=body, timeout=120)

    with ThreadPoolExecutor(24) as threads:
        asking = threads.map(ask, range(24))
        assert service.predict("flights", ROWS).status_code == 200
        answers = list(asking)
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)
    assert service.predict("flights", ROWS).status_code == 200


def test_the_champion_of_the_ledger_takes_over_without_a_deployment_and_a_failed_one_does_not(service, versions):
    migrate(service.database_url)
    ledger = Ledger(service.database_url)
    promote(ledger, "flights", versions[0], None)
    assert service.put("flights", versions[0]).status_code == 200
    wait_until_noted(service, ledger)
    promote(ledger, "flights", versions[1], 100)
    health = service.wait_for(lambda health: health["problems"]["flights"]["version"] == 200, 60)
    assert health["problems"]["flights"]["origin"] == "ledger"
    end = time.monotonic() + 60
    while versions_heard(service) != {200}:  # nobody asked for it, so nobody waits until every worker has it
        assert time.monotonic() < end

    next_move = ledger.entries()[-1].id + 2  # after the entry that says how it failed
    ledger.append("flights", "deploy_failed", key=f"move {next_move}", actor="test", version=300)
    assert promote(ledger, "flights", versions[2], 200).id == next_move
    promote(ledger, "later", make_model(service.store, "later", 5), None)
    service.wait_for(lambda health: health["problems"]["later"]["version"] == 5, 60)  # by now the ledger was looked at
    assert versions_heard(service) == {200}


def wait_until_noted(service: Service, ledger: Ledger) -> None:
    """Wait until the service has looked at the ledger since it was last told what to serve."""
    champion, end = ledger.champion("flights"), time.monotonic() + 30
    assert champion is not None
    (document,) = service.home.glob("cache/serving/*/wanted/flights.json")
    while time.monotonic() < end and json.loads(document.read_text())["entry"] != champion.entry:
        time.sleep(0.02)
    assert json.loads(document.read_text())["entry"] == champion.entry


@pytest.fixture
def own(database, tmp_path):
    """A service of the test's own, one worker, not started; its champion is version 1."""
    service = Service(tmp_path, database("own"))
    service.add_problem("flights")
    migrate(service.database_url)
    promote(Ledger(service.database_url), "flights", make_model(service.store, "flights", 1), None)
    yield service
    service.stop(signal.SIGKILL)


def test_workers_that_start_together_all_have_the_champion_before_they_answer(own):
    own.workers = WORKERS
    with running(own):
        own.wait_for(lambda health: len(health["workers"]) == WORKERS, 90)
        assert versions_heard(own) == {1}
        assert own.health()["complaints"] == []


def test_it_starts_from_its_own_copy_when_store_and_database_are_away(tmp_path):
    server = make_postgres(tmp_path / "postgres")
    server.start()
    own = Service(tmp_path, server.create_database("evergreen"))
    own.add_problem("flights")
    try:
        migrate(own.database_url)
        promote(Ledger(own.database_url), "flights", make_model(own.store, "flights", 1), None)
        with running(own):
            assert own.predict("flights", ROWS).json()["version"] == 1
    finally:
        own.stop(signal.SIGKILL)
        server.stop()
    own.store.rename(own.home / "away")
    with running(own):
        answer = own.predict("flights", ROWS).json()
        assert answer["version"] == 1
        assert [one["score"] for one in answer["predictions"]] == pytest.approx([score_of(1, row) for row in ROWS], abs=1e-6)
        health = own.health()
        assert health["problems"]["flights"]["origin"] == "note"
        assert any(complaint.startswith("ledger:") for complaint in health["complaints"])
        assert own.stop(signal.SIGKILL) == -signal.SIGKILL  # there is no database to write the log to


def test_workers_end_with_their_parent_even_when_it_is_killed(own):
    own.start()
    workers = [psutil.Process(pid) for pid in own.health()["workers"]]
    own.stop(signal.SIGKILL)
    assert not psutil.wait_procs(workers, timeout=30)[1]
    with socket.socket() as free:
        free.bind(("127.0.0.1", own.port))
