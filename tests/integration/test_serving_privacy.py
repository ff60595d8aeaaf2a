"""The real service hides what the problem redacts, asks the model as it was taught, and forgets whom it must."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from ml import privacy, requests
from ml.redaction import hashed
from ml.serving.schemas import Version
from ml.settings import PROJECT
from ml.store import Store, digest
from tests.integration.serving_kit import Service, make_model, running, score_of

EVER = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
ROW = {"carrier": "UA", "distance": 1400.0}


@pytest.fixture(scope="module")
def service(database, tmp_path_factory):
    """Problems whose logs hide carriers: by hash (the model was taught raw ones, or hashed ones) and as texts."""
    service = Service(tmp_path_factory.mktemp("privacy"), database("privacy"))
    for name, how in (("raw", "hash"), ("taught", "hash"), ("texts", "text")):
        service.add_problem(name)
        path = service.home / "problems" / f"{name}.toml"
        path.write_text(f'{path.read_text()}\n[privacy]\nredact = {{ id = "hash", carrier = "{how}" }}\n')
    with running(service):
        for name in ("raw", "taught", "texts"):
            assert service.put(name, model(service, name)).status_code == 200
        yield service


def model(service: Service, name: str) -> Version:
    made = make_model(service.store, name, 1)
    folder = service.store / name / "runs" / made.run_key / "model"
    if name == "taught":
        about = json.loads((folder / "model.json").read_text()) | {"redact": {"carrier": "hash"}}
        (folder / "model.json").write_text(json.dumps(about))
    return made.model_copy(update={"model_digest": digest(folder)})


def logged(service: Service, name: str) -> list[dict]:
    service.wait_logged()
    return requests.read(service.database_url, name, *EVER).to_pylist()


def hidden(service: Service, name: str, column: str, value: str) -> str:
    return hashed(value, column=column, salt=privacy.salt_of(Store(service.store / name)))


@pytest.mark.parametrize("name", ["raw", "taught"])
def test_the_log_holds_hashes_and_the_model_sees_what_it_was_taught(service, name):
    answer = service.predict(name, [{"key": "customer-1", **ROW}]).json()["predictions"][0]
    assert answer["key"] == "customer-1"  # the client gets its own name of the row back
    seen = ROW if name == "raw" else ROW | {"carrier": hidden(service, name, "carrier", "UA")}
    assert answer["score"] == pytest.approx(score_of(1, seen), abs=1e-6)
    row = logged(service, name)[-1]
    assert row["key"] == hidden(service, name, "id", "customer-1")
    assert json.loads(row["row"]) == ROW | {"carrier": hidden(service, name, "carrier", "UA")}


def test_the_log_holds_texts_without_addresses(service):
    for carrier in ("write to j.doe@example.org", None, "UA"):
        service.predict("texts", [{**ROW, "carrier": carrier}])
    assert [json.loads(row["row"])["carrier"] for row in logged(service, "texts")] == ["write to [e-mail]", None, "UA"]


def test_an_erased_person_leaves_the_log_and_is_not_written_again(service):
    def ask() -> None:
        answers = service.predict("raw", [{"key": key, **ROW} for key in ("gone-77", "gone-7", None)])
        assert len(answers.json()["predictions"]) == 3

    def erase(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ml", "erase", "--problem", "raw", "--subject", "-", *options]
        plain = {name: value for name, value in os.environ.items() if not name.startswith("EVERGREEN_")}
        environment = plain | service.environment() | {"PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
        return subprocess.run(
            command, input="gone-7\n", env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    ask()
    mine, near = (hidden(service, "raw", "id", name) for name in ("gone-7", "gone-77"))
    assert [row["key"] for row in logged(service, "raw")][-3:] == [near, mine, None]
    looked = erase("--dry-run")
    assert (looked.returncode, "nothing was changed" in looked.stdout) == (0, True), looked.stderr
    done = erase("--why", "ticket 12", "--json")
    assert done.returncode == 0, done.stderr
    told = {place["name"]: (place["before"], place["after"]) for place in json.loads(done.stdout)["places"]}
    assert told["request log"] == (1, 0)
    ask()  # the service has been told by now
    keys = [row["key"] for row in logged(service, "raw")]
    assert mine not in keys and keys.count(near) == 2
    again = erase("--why", "ticket 12")
    assert again.returncode == 0 and "Found nowhere: erased on" in again.stdout
    assert "gone-7" not in done.stdout + again.stdout
