"""The real service in a process of its own, on a real PostgreSQL, with real SavedModels."""

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml import requests
from ml.database import migrate
from ml.ledger import Champion, Ledger
from ml.serving.schemas import Version
from tests.integration.serving_kit import (
    ROWS,
    TOKEN,
    Service,
    kill_postgres,
    make_model,
    make_postgres,
    running,
    score_of,
)

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
SWAPS = 200
PROBLEMS = ("swapped", "asked", "moved", "clocked", "empty")


@pytest.fixture(scope="module")
def service(database, tmp_path_factory):
    service = Service(tmp_path_factory.mktemp("service"), database("service"), workers=2)
    for problem in PROBLEMS:
        service.add_problem(problem)
    with running(service):
        yield service


@pytest.fixture(scope="module")
def asked(service):
    """A service with one version live, for questions that change nothing."""
    assert service.put("asked", make_model(service.store, "asked", 1)).status_code == 200
    return service


@pytest.fixture
def own(database, tmp_path):
    """A service of the test's own, not started, with one problem `flights`."""
    service = Service(tmp_path, database("own"))
    service.add_problem("flights")
    yield service
    service.stop(signal.SIGKILL)


def make_champion(service: Service, version: int, expected: int | None = None) -> Version:
    """A model that the ledger names champion of flights."""
    made = make_model(service.store, "flights", version)
    migrate(service.database_url)
    to = Champion(version, made.run_key, made.model_digest)
    Ledger(service.database_url).move("flights", to=to, expected=expected, kind="promote", key=made.run_key, actor="test")
    return made


@pytest.mark.timeout(600)  # a busy machine is no finding
def test_swaps_under_load_lose_no_request_and_mix_no_versions(service):
    versions = [make_model(service.store, "swapped", number) for number in (100, 200, 300, 400)]
    assert service.put("swapped", versions[0]).status_code == 200
    ended = threading.Event()

    def ask(seed: int) -> list[dict[str, Any]]:
        chance = random.Random(seed)
        answers: list[dict[str, Any]] = []
        with httpx.Client() as client:
            while not ended.is_set():
                rows = [{"key": f"{seed}-{len(answers)}", **chance.choice(ROWS)} for _ in range(chance.choice((1, 1, 8)))]
                response = service.predict("swapped", rows, client)
                assert response.status_code == 200, response.text
                answers.append({"rows": rows, "answer": response.json()})
        return answers

    with ThreadPoolExecutor(5) as threads:
        asking = [threads.submit(ask, seed) for seed in range(5)]
        try:
            chance = random.Random(0)
            pair = versions[:2]
            for number in range(SWAPS):  # mostly to and fro, which loads nothing; every twentieth loads another one
                if number % 20 == 19:
                    pair = [pair[1], chance.choice([version for version in versions if version not in pair])]
                assert service.put("swapped", pair[1]).status_code == 200
                pair.reverse()
        finally:
            ended.set()
        exchanges = [exchange for one in asking for exchange in one.result()]

    seen = Counter(exchange["answer"]["version"] for exchange in exchanges)
    assert set(seen) == {100, 200, 300, 400}
    assert len(exchanges) > 1000
    for exchange in exchanges:
        answer = exchange["answer"]
        for row, prediction in zip(exchange["rows"], answer["predictions"], strict=True):
            assert prediction["key"] == row["key"]
            assert prediction["score"] == pytest.approx(score_of(answer["version"], row), abs=1e-6)
    counts = service.wait_logged()
    assert counts["dropped"] == 0
    logged = requests.read(service.database_url, "swapped", *EVER).to_pylist()
    asked = {
        (exchange["answer"]["request_id"], position): (exchange["answer"]["version"], prediction["score"], prediction["key"])
        for exchange in exchanges
        for position, prediction in enumerate(exchange["answer"]["predictions"])
    }
    assert {(r["request_id"], r["position"]): (r["version"], r["score"], r["key"]) for r in logged} == asked


def test_an_answer_holds_keys_scores_and_decisions_in_the_order_asked(asked):
    rows = [{"key": "a", **ROWS[0]}, {**ROWS[1]}, {"key": 7, **ROWS[2]}]
    answer = asked.predict("asked", rows).json()
    assert (answer["problem"], answer["version"]) == ("asked", 1)
    assert [p["key"] for p in answer["predictions"]] == ["a", None, "7"]
    assert [p["score"] for p in answer["predictions"]] == pytest.approx([score_of(1, row) for row in ROWS], abs=1e-6)
    assert [p["decision"] for p in answer["predictions"]] == [True, False, False]


def test_what_is_logged_is_what_was_asked_and_answered(asked):
    odd = {"key": "tab\tline\nback\\slash \\N 'quote\" ü🙂", "carrier": '\t\\.\n\r\\N,"ü🙂', "distance": 0.1}
    answer = asked.predict("asked", [odd, {"key": "", **ROWS[0]}, {"key": None, **ROWS[1]}]).json()
    asked.wait_logged()
    logged = requests.read(asked.database_url, "asked", *EVER).to_pylist()
    mine = [row for row in logged if row["request_id"] == answer["request_id"]]
    assert [row["position"] for row in mine] == [0, 1, 2]
    assert [row["key"] for row in mine] == [odd.pop("key"), "", None]
    assert [json.loads(row["row"]) for row in mine] == [odd, ROWS[0], ROWS[1]]
    assert [(row["score"], row["decision"]) for row in mine] == [(p["score"], p["decision"]) for p in answer["predictions"]]


BAD = {
    "no JSON": (b"{rows", 422, "not JSON"),
    "empty": (b"", 422, "not JSON"),
    "not UTF-8": (b'{"rows": [{"carrier": "\xff"}]}', 422, "not JSON"),
    "half a surrogate": (b'{"rows": [{"carrier": "\\ud800", "distance": 1}]}', 422, "not JSON"),
    "NaN": (b'{"rows": [{"carrier": "UA", "distance": NaN}]}', 422, "not JSON"),
    "nested without end": (b'{"rows": ' + b"[" * 100_000, 422, "not JSON"),
    "another shape": ([1, 2], 422, "holds no rows"),
    "rows are no list": ({"rows": {"carrier": "UA"}}, 422, "holds no rows"),
    "something beside rows": ({"rows": [ROWS[0]], "log": False}, 422, "more than rows"),
    "no row": ({"rows": []}, 422, "holds no row"),
    "a row is no object": ({"rows": [ROWS[0], "UA"]}, 422, "Row 1 is no object"),
    "a column is missing": ({"rows": [ROWS[0], {"carrier": "UA"}]}, 422, "Row 1 has no column 'distance'"),
    "an unknown column": ({"rows": [ROWS[0] | {"colour": "red"}]}, 422, "Row 0 has unknown column 'colour'"),
    "a wrong type": ({"rows": [ROWS[0], ROWS[0] | {"distance": "far"}]}, 422, "Row 1, column 'distance'"),
    "a bool for a number": ({"rows": [ROWS[0] | {"distance": True}]}, 422, "Row 0, column 'distance'"),
    "a list for a text": ({"rows": [ROWS[0] | {"carrier": ["UA"]}]}, 422, "Row 0, column 'carrier'"),
    "beyond a double": (b'{"rows": [{"carrier": "UA", "distance": 1e400}]}', 422, "Row 0, column 'distance'"),
    "an endless integer": (b'{"rows": [{"carrier": "UA", "distance": 1' + b"0" * 400 + b"}]}", 422, "Row 0, column 'distance'"),
    "beyond a float": ({"rows": [ROWS[0], ROWS[0] | {"distance": 1e300}]}, 422, "Row 1"),
    "NUL in a text": ({"rows": [ROWS[0] | {"carrier": "U\0A"}]}, 422, "NUL"),
    "NUL in a key": ({"rows": [ROWS[0] | {"key": "\0"}]}, 422, "NUL"),
    "a key that is no name": ({"rows": [ROWS[0] | {"key": {"id": 1}}]}, 422, "Row 0, 'key'"),
    "too many rows": ({"rows": [ROWS[0]] * 10_001}, 413, "10,001 rows"),
    "too many bytes": (b" " * (32 * 2**20 + 1), 413, "32 MiB"),
}


@pytest.mark.parametrize(("body", "status", "said"), BAD.values(), ids=BAD)
def test_a_bad_question_is_told_what_is_wrong_with_it(asked, body, status, said):
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    response = httpx.post(f"{asked.url}/problems/asked/predict", **content, timeout=60)
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert said in response.json()["error"]
    assert asked.predict("asked", ROWS).status_code == 200


def test_a_body_without_declared_length_is_cut_off_at_the_limit(asked):
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 2**20

    try:
        response = httpx.post(f"{asked.url}/problems/asked/predict", content=chunks(), timeout=60)
    except httpx.WriteError:  # the server hung up while we were still sending, which is as good
        return
    assert response.status_code == 413


@pytest.mark.parametrize("ask", [("GET", ""), ("POST", "/predict"), ("PUT", "/version"), ("DELETE", "/version")], ids=str)
def test_an_unknown_problem_is_404_and_the_known_ones_are_named(service, ask):
    method, path = ask
    headers = {"Authorization": f"Bearer {TOKEN}"}
    response = httpx.request(method, f"{service.url}/problems/nobody{path}", headers=headers)
    assert response.status_code == 404
    assert "asked" in response.json()["error"]


def test_without_a_model_health_is_well_and_predictions_say_why_not(service):
    assert service.health()["problems"]["empty"]["state"] == "no model yet"
    response = service.predict("empty", ROWS)
    assert response.status_code == 503
    assert "No model" in response.json()["error"]


def test_a_problem_shows_its_columns_and_an_example_that_works(asked):
    shown = httpx.get(f"{asked.url}/problems/asked").json()
    assert shown["columns"] == {"carrier": "category", "distance": "number"}
    assert httpx.post(f"{asked.url}/problems/asked/predict", json=shown["example"]).status_code == 200
    assert [problem["problem"] for problem in httpx.get(f"{asked.url}/problems").json()] == sorted(PROBLEMS)


def test_the_root_leads_to_documentation_that_describes_the_body(asked):
    assert httpx.get(asked.url, follow_redirects=True).status_code == 200
    paths = httpx.get(f"{asked.url}/openapi.json").json()["paths"]
    body = paths["/problems/{problem}/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "rows" in body["properties"]


def test_unlogged_questions_need_the_token(asked):
    url, body = f"{asked.url}/problems/asked/predict?log=false", {"rows": ROWS}
    assert httpx.post(url, json=body).status_code == 401
    before = asked.wait_logged()["written"]
    assert httpx.post(url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert asked.wait_logged()["written"] == before


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": b"Bearer \xff"}]
)
def test_moving_a_version_needs_the_token(asked, header):
    body = {"version": 1, "run_key": "run-1", "model_digest": "0" * 64}
    response = httpx.put(f"{asked.url}/problems/asked/version", json=body, headers=header)
    assert response.status_code == 401


def test_served_at_follows_the_clock_of_the_business_at_once(service):
    service.put("clocked", make_model(service.store, "clocked", 1))
    moments = [datetime(2013, 1, day, 5, tzinfo=UTC) for day in (5, 6, 3)]
    try:
        for moment in moments:
            service.clock.write_text(moment.isoformat())
            assert service.predict("clocked", ROWS[:1]).status_code == 200
    finally:
        service.clock.unlink()
    service.wait_logged()
    logged = requests.read(service.database_url, "clocked", moments[2], moments[1]).to_pylist()
    assert [row["served_at"] for row in logged] == [moments[2], moments[0]]


def damaged_file(service: Service, made: Version) -> Version:
    variables = next((service.store / "moved" / "runs" / made.run_key).rglob("variables.data*"))
    content = bytearray(variables.read_bytes())
    content[len(content) // 2] ^= 1
    variables.write_bytes(content)
    return made


def rehashed_garbage(service: Service, made: Version) -> Version:
    from ml.store import digest

    folder = service.store / "moved" / "runs" / made.run_key / "model"
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"garbage")
    return made.model_copy(update={"model_digest": digest(folder)})


REFUSED = {
    "a flipped bit": (damaged_file, "has been changed"),
    "a broken graph": (rehashed_garbage, "cannot be loaded"),
    "another digest": (lambda _, made: made.model_copy(update={"model_digest": "0" * 64}), "has been changed"),
    "no such run": (lambda _, made: made.model_copy(update={"run_key": "nowhere"}), "is not in this service's store"),
}


@pytest.mark.parametrize(("spoil", "said"), REFUSED.values(), ids=REFUSED)
def test_a_version_that_cannot_be_trusted_leaves_the_old_one_serving(service, spoil, said, request):
    number = 10 + list(REFUSED).index(request.node.callspec.id)
    good = make_model(service.store, "moved", number)
    assert service.put("moved", good).status_code == 200
    bad = spoil(service, make_model(service.store, "moved", number + 50))
    response = service.put("moved", bad)
    assert response.status_code == 409
    assert said in response.json()["error"]
    assert service.predict("moved", ROWS).json()["version"] == number
    assert said in " ".join(service.health()["complaints"])
    assert service.put("moved", good).status_code == 200
    assert not service.health()["complaints"]


def test_a_version_that_does_not_reproduce_its_example_is_refused(service):
    assert service.put("moved", make_model(service.store, "moved", 30)).status_code == 200
    response = service.put("moved", make_model(service.store, "moved", 31, example_of=32))
    assert response.status_code == 409
    assert "does not reproduce its own example" in response.json()["error"]
    assert service.predict("moved", ROWS).json()["version"] == 30


def test_a_model_of_another_problem_is_refused(service):
    made = make_model(service.store, "asked", 40)
    (service.store / "moved" / "runs").mkdir(parents=True, exist_ok=True)
    (service.store / "asked" / "runs" / made.run_key).rename(service.store / "moved" / "runs" / made.run_key)
    response = service.put("moved", made)
    assert response.status_code == 409
    assert "model of 'asked'" in response.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 0, "run_key": "r", "model_digest": "0" * 64},
        {"version": 1, "run_key": "../x", "model_digest": "0" * 64},
        [],
    ],
)
def test_a_malformed_version_is_422(service, body):
    response = httpx.put(f"{service.url}/problems/moved/version", json=body, headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 422
    assert list(response.json()) == ["error"]


def test_the_way_back_needs_neither_store_nor_loading(service):
    first, second = make_model(service.store, "moved", 41), make_model(service.store, "moved", 42)
    assert service.put("moved", first).status_code == service.put("moved", second).status_code == 200
    (service.store / "moved" / "runs" / first.run_key / "model" / "model.json").unlink()
    assert service.put("moved", first).json()["version"] == 41
    assert service.predict("moved", ROWS).json()["version"] == 41


def test_a_withdrawn_version_answers_no_more_and_can_come_back(service):
    made = make_model(service.store, "moved", 43)
    service.put("moved", made)
    response = httpx.delete(f"{service.url}/problems/moved/version", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.json()["state"] == "no model yet"
    assert service.predict("moved", ROWS).status_code == 503
    assert service.put("moved", made).status_code == 200
    assert service.predict("moved", ROWS).status_code == 200


def test_without_a_configured_token_versions_cannot_be_moved(own):
    made = make_champion(own, 1)
    own.token = ""
    with running(own):
        assert own.put("flights", made, token="").status_code == 403
        assert own.predict("flights", ROWS).json()["version"] == 1


def test_it_starts_with_the_champion_of_the_ledger(own):
    make_champion(own, 1)
    make_champion(own, 2, expected=1)
    with running(own):
        assert own.predict("flights", ROWS).json()["version"] == 2
        assert own.health()["problems"]["flights"]["origin"] == "ledger"


@pytest.mark.slow
def test_a_champion_that_is_damaged_at_the_start_leaves_what_served_last(own):
    make_champion(own, 1)
    with running(own):
        assert own.predict("flights", ROWS).json()["version"] == 1
    made = make_champion(own, 2, expected=1)
    (own.store / "flights" / "runs" / made.run_key / "model" / "model.json").write_text("{}")
    with running(own):
        assert own.predict("flights", ROWS).json()["version"] == 1
        assert "has been changed" in own.health()["complaints"][0]


def test_a_wrong_problem_file_does_not_keep_the_others_from_serving(own):
    make_champion(own, 1)
    (own.home / "problems" / "wrong.toml").write_text("[problem]\n")
    with running(own):
        assert own.predict("flights", ROWS).status_code == 200
        assert "wrong.toml" in own.predict("wrong", ROWS).json()["error"]
        assert "wrong.toml" in own.health()["complaints"][0]


@pytest.mark.slow
def test_the_database_may_be_away_at_the_start_and_come_back(tmp_path):
    server = make_postgres(tmp_path / "postgres")
    server.start()
    service = Service(tmp_path, server.create_database("evergreen"))
    service.add_problem("flights")
    try:
        make_champion(service, 1)
        with running(service):
            assert service.predict("flights", ROWS).json()["version"] == 1
        make_champion(service, 2, expected=1)
        server.stop()
        with running(service):
            health = service.health()
            assert health["problems"]["flights"]["origin"] == "note"
            assert any(complaint.startswith("ledger:") for complaint in health["complaints"])
            assert service.predict("flights", ROWS).json()["version"] == 1
            server.start()
            service.wait_for(lambda health: health["problems"]["flights"]["version"] == 2)
            assert service.wait_logged() == {"written": 3, "waiting": 0, "dropped": 0, "error": ""}
            assert service.health()["complaints"] == []
    finally:
        service.stop(signal.SIGKILL)
        server.stop()


def test_every_answer_is_logged_once_though_the_database_is_killed_twice(tmp_path):
    server = make_postgres(tmp_path / "postgres")
    server.start()
    service = Service(tmp_path, server.create_database("evergreen"))
    service.add_problem("flights")
    answered: set[str] = set()
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client() as client:
            while not ended.is_set():
                answered.add(service.predict("flights", ROWS, client).json()["request_id"])

    try:
        make_champion(service, 1)
        service.start()
        with ThreadPoolExecutor(2) as threads:
            asking = [threads.submit(ask) for _ in range(2)]
            try:
                for _ in range(2):
                    time.sleep(1)
                    kill_postgres(server)
                    service.wait_for(lambda health: health["log"]["error"])
                    server.start()
                    service.wait_for(lambda health: not health["log"]["error"])
            finally:
                ended.set()  # or leaving the threads would wait for ever
            assert [one.result() for one in asking] == [None, None]
        counts = service.wait_logged()
        logged = requests.read(service.database_url, "flights", *EVER)
        assert Counter(logged["request_id"].to_pylist()) == Counter({request_id: len(ROWS) for request_id in answered})
        assert (counts["dropped"], counts["written"]) == (0, logged.num_rows)
    finally:
        service.stop(signal.SIGKILL)
        server.stop()


def test_sigterm_finishes_what_was_asked_and_writes_the_log(own):
    make_champion(own, 1)
    own.start()
    answered: list[str] = []

    def ask() -> None:
        with httpx.Client() as client:
            while True:
                try:
                    response = own.predict("flights", ROWS, client)
                except httpx.TransportError:  # the end: nobody listens any more
                    return
                assert response.status_code == 200
                answered.append(response.json()["request_id"])

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask) for _ in range(4)]
        time.sleep(1)
        assert own.stop() == 0
        assert [one.result() for one in asking] == [None] * 4
    logged = requests.read(own.database_url, "flights", *EVER)
    assert len(answered) > 20
    assert set(answered) <= set(logged["request_id"].to_pylist())
    assert Path(own.log).read_text().count("Traceback") == 0
