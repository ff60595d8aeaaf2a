"""What surrounds the answers of the real service: keys, figures, lines of its log, and rows that a kill does not lose."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ml import keys, requests
from ml.database import migrate
from ml.records import Monitored
from ml.settings import PROJECT
from tests.integration.serving_kit import ROWS, TOKEN, Service, kill_postgres, make_model, make_postgres, running

EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def service(database, tmp_path_factory):
    """Version 1 of one problem, and a line in the log for each request."""
    service = Service(tmp_path_factory.mktemp("edge"), database("edge"), more={"EVERGREEN_SERVING_LOG": "requests"})
    service.add_problem("flights")
    migrate(service.database_url)
    version = make_model(service.store, "flights", 1)
    with running(service):
        assert service.put("flights", version).status_code == 200
        yield service


def figures(service, **headers) -> dict[tuple[str, ...], float]:
    answer = httpx.get(f"{service.url}/metrics", headers=headers)
    assert answer.status_code == 200
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {(sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value for sample in samples}


def test_figures_count_what_was_answered_refused_and_logged(service):
    before = figures(service)
    for _ in range(3):
        assert service.predict("flights", ROWS).status_code == 200
    assert service.predict("flights", [{"carrier": 1}]).status_code == 422
    service.wait_logged()
    after = figures(service)
    gained = {name: after[name] - before.get(name, 0) for name in after}
    assert gained[("evergreen_answered_rows_total", "champion", "flights", "1")] == 3 * len(ROWS)
    assert gained[("evergreen_answer_seconds_count", "champion", "flights", "1")] == 3
    assert gained[("evergreen_http_responses_total", "json", "422")] == 1
    assert gained[("evergreen_log_rows_total", "written")] == 3 * len(ROWS)
    assert (after[("evergreen_live_version", "flights")], after[("evergreen_log_rows_waiting",)]) == (1, 0)


def test_figures_tell_what_monitoring_said_last(service):
    findings = {"kind": "data", "subject": "carrier", "drifted": True, "value": 0.4, "limit": 0.2, "p_value": 0.0, "sentence": ""}
    record = {"end": "2013-01-02T00:00:00Z", "version": 1, "num_requests": 9, "num_labelled": 0, "findings": [findings]}
    verdicts = {"data": "drift", "prediction": "no drift", "concept": "not assessable"}
    place = service.store / "flights" / Monitored.latest
    place.parent.mkdir()
    place.write_text(json.dumps(record | {"verdicts": verdicts, "retrain": False, "reason": ""}))
    told = figures(service)
    assert (told["evergreen_drift", "data", "flights"], told["evergreen_drift", "prediction", "flights"]) == (1, 0)
    assert ("evergreen_drift", "concept", "flights") not in told
    assert (told["evergreen_drift_value", "data", "flights", "carrier"]) == 0.4
    assert told["evergreen_drift_judged_seconds", "flights"] == datetime(2013, 1, 2, tzinfo=UTC).timestamp()
    place.write_text("half a fil")
    assert ("evergreen_drift", "data", "flights") not in figures(service)


def test_lines_of_the_log_are_json_and_requests_are_among_them(service):
    assert service.predict("flights", ROWS).status_code == 200

    def told() -> list[dict[str, Any]]:  # TensorFlow's C++ has a voice of its own
        return [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]

    wanted = {"method": "POST", "path": "/problems/flights/predict", "status": 200}
    service.wait_for(lambda _: any(line.items() >= wanted.items() and line["seconds"] > 0 for line in told()))
    assert "Application startup complete." in {line["message"] for line in told()}
    assert "INFO: " not in service.log.read_text()


def test_a_key_closes_what_was_open_and_opens_it_for_its_holder(service):
    assert "open" in service.health()["access"]["predictions"]
    asked = keys.Asked(client="shop", per_minute=6)
    token = keys.new(service.database_url, asked, actor="tests", now=datetime.now(UTC))[1]
    service.wait_for(lambda health: health["access"]["predictions"] == "with a key")
    url, body, header = f"{service.url}/problems/flights", {"rows": ROWS}, {"Authorization": f"Bearer {token}"}
    assert httpx.post(f"{url}/predict", json=body, headers=header).status_code == 200
    refused = httpx.post(f"{url}/predict", json=body, headers=header)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    for method, path in (("POST", "/predict"), ("GET", ""), ("PUT", "/version"), ("DELETE", "/version")):
        answer = httpx.request(method, f"{url}{path}", json=body)
        assert (answer.status_code, list(answer.json())) == (401, ["error"])
    assert httpx.get(f"{service.url}/metrics").status_code == 401
    pipeline = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.post(f"{url}/predict?log=false", json=body, headers=pipeline).status_code == 200
    assert figures(service, **pipeline)[("evergreen_http_responses_total", "json", "429")] == 1


def test_an_address_that_others_reach_is_refused_without_a_key(tmp_path, database):
    own = Service(tmp_path, database("unlocked"))
    migrate(own.database_url)
    (tmp_path / "problems").mkdir()
    command = [sys.executable, "-m", "ml.serving", "--host", "0.0.0.0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")} | own.environment()
    ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, "python -m ml keys new" in ended.stderr) == (1, True)


def test_killed_without_a_database_the_service_loses_no_answered_row(tmp_path):
    server = make_postgres(tmp_path / "postgres")
    server.start()
    service = Service(tmp_path, server.create_database("evergreen"))
    service.add_problem("flights")
    answered: set[str] = set()

    def ask() -> None:
        with httpx.Client() as client:
            while True:
                try:
                    answered.add(service.predict("flights", ROWS, client).json()["request_id"])
                except httpx.TransportError:  # killed
                    return

    try:
        version = make_model(service.store, "flights", 1)
        service.start()
        assert service.put("flights", version).status_code == 200
        with ThreadPoolExecutor(2) as threads:
            asking = [threads.submit(ask) for _ in range(2)]
            kill_postgres(server)
            service.wait_for(lambda health: health["log"]["error"] and health["log"]["waiting"] > 100)
            workers = service.health()["workers"]
            service.stop(signal.SIGKILL)
            for pid in workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert [one.result() for one in asking] == [None, None]
        service.start()
        assert service.health()["log"]["waiting"] >= len(answered)
        server.start()
        counts = service.wait_logged(timeout_s=60)
        logged = requests.read(service.database_url, "flights", *EVER)["request_id"].to_pylist()
        assert answered <= set(logged)
        assert len(logged) == len(set(logged)) * len(ROWS)
        assert counts["dropped"] == 0
    finally:
        service.stop(signal.SIGKILL)
        server.stop()
