"""Rollouts in the real service: whom a challenger answers, what clients get when it misbehaves or something is killed, and
what ledger and MLflow say in the end.
"""

import itertools
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import psutil  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from ml import deploy, problem, requests
from ml.cli.app import app
from ml.context import Context
from ml.database import migrate
from ml.deploy.rollout import NOTHING, Asked
from ml.deploy.service import PredictionService
from ml.errors import ConfigError, DataError
from ml.ledger import Champion, Ledger
from ml.records import Deployed, RollingOut
from ml.registry import Registry
from ml.serving.schemas import Version
from ml.store import Store, digest
from ml.window import Window
from tests.integration.serving_kit import FAR, TOKEN, Service, make_model, running, score_of

SERVING = """
[serving]
rollout = "{mode}"
steps = [0.3, 0.6]
hold_minutes = 0
step_requests = 20
[serving.guardrails]
flips = {flips}
distribution = {flips}
"""


@dataclass
class Case:
    """One problem of the service, with version 1 deployed."""

    service: Service
    name: str
    templates: Path
    mlflow_url: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @cached_property
    def context(self) -> Context:
        settings = replace(self.service.settings(), mlflow_url=self.mlflow_url)
        return Context(problem.load(self.name, settings.problems), settings, "deploy-run")

    @property
    def ledger(self) -> Ledger:
        return self.context.ledger

    def promote(self, version: int, expected: int | None) -> None:
        """As the stage promote leaves it: champion moved, alias moved, deployment due."""
        made = self.model(version)
        to = Champion(made.version, made.run_key, made.model_digest)
        key = f"promote {version} {next(self.numbers)}"
        moved = self.ledger.move(self.name, to=to, expected=expected, kind="promote", key=key, actor="t")
        self.context.registry.set_alias(self.name, "champion", version)
        self.ledger.ask(self.name, "deploy", f"move {moved.id}", made.model_dump() | {"previous": expected})

    def deploy(self, wish: Asked = NOTHING, run_key: str = "deploy-run") -> Any:
        return deploy.run(replace(self.context, run_key=run_key), wish)

    def deploy_until_over(self, **named: Any) -> list[tuple[float, int]]:
        """Deploy while clients ask; share and step of each look."""
        looks = []
        with httpx.Client() as client:
            while isinstance(found := self.deploy(), RollingOut):
                looks.append((found.share, found.step))
                for _ in range(20):
                    self.ask(f"new {time.monotonic_ns()}", client, **named)
        assert isinstance(found, Deployed)
        return looks

    def state(self) -> dict[str, Any]:
        """What must be the same however it came to it."""
        champion = self.ledger.champion(self.name)
        return {
            "served": set(self.versions(KEYS[:60], distance=100.0)),
            "champion": champion and champion.version,
            "alias": self.context.registry.alias(self.name, "champion"),
            "due": self.ledger.due(self.name, "deploy"),
            "moves": [(e.kind, e.version) for e in self.ledger.entries(self.name) if e.kind in ("promote", "rollback")],
            "ends": [(e.kind, e.version) for e in self.ledger.entries(self.name) if e.kind in ("deployed", "deploy_failed")],
            "whole": self.ledger.verify(),
        }

    def model(self, version: int) -> Version:
        folder = self.service.store / self.name / "runs" / f"run-{version}" / "model"
        if not folder.exists():
            shutil.copytree(self.templates / "t" / "runs" / f"run-{version}" / "model", folder)
            about = json.loads((folder / "model.json").read_text()) | {"problem": self.name}
            (folder / "model.json").write_text(json.dumps(about))
            client = Registry(self.mlflow_url)._client
            while len(client.search_model_versions(f"name='{self.name}'")) < version:
                client.create_model_version(self.name, source=str(folder))
        return Version(version=version, run_key=f"run-{version}", model_digest=digest(folder))

    def attempt(self, challenger: int, *, share: float, step: int = 0, name: str = "r1", wanted: int = 200) -> str:
        """Tell the service of a plan, as a deployment does; returns what it said."""
        made = self.model(challenger).model_dump()
        plan = {"id": name, "mode": "canary", "challenger": made, "share": share, "step": step}
        response = httpx.put(
            f"{self.service.url}/problems/{self.name}/rollout",
            json={"version": self.model(1).model_dump(), "plan": plan},
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60,
        )
        assert response.status_code == wanted, response.text
        return response.text

    def ask(self, key: str, client: httpx.Client | None = None, distance: float | None = None, **headers: str) -> dict[str, Any]:
        """One row as a client asks; the answer is whole and from one version."""
        distance = float(crc32(key.encode()) % 4000) if distance is None else distance
        row = {"key": key, "carrier": "UA", "distance": distance}
        post = client.post if client else httpx.post
        response = post(f"{self.service.url}/problems/{self.name}/predict", json={"rows": [row]}, headers=headers, timeout=60)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        expected = score_of(answer["version"], {"carrier": "UA", "distance": distance})
        assert answer["predictions"][0]["score"] == pytest.approx(expected, abs=1e-6)
        return answer

    def versions(self, keys: list[str], **named: Any) -> list[int]:
        with httpx.Client() as client:
            return [self.ask(key, client, **named)["version"] for key in keys]

    def rollout(self) -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(f"{self.service.url}/problems/{self.name}").json()["rollout"]
        return told

    def ask_until(self, holds: Callable[[], bool], timeout_s: float = 60, **named: Any) -> Counter[int]:
        """Ask about ever new entities until something holds; who answered how often."""
        seen: Counter[int] = Counter()
        end = time.monotonic() + timeout_s
        with httpx.Client() as client:
            while not holds():
                assert time.monotonic() < end, (seen, self.rollout())
                seen.update(self.ask(f"new {time.monotonic_ns()}", client, **named)["version"] for _ in range(10))
        return seen


MODES, LAX = {0: "shadow"}, range(1, 5)  # of some problems: mode, and whether the two versions may decide otherwise
KEYS = [f"customer {number}" for number in range(400)]


@pytest.fixture(scope="module")
def service(database, tmp_path_factory):
    home = tmp_path_factory.mktemp("trial")
    service = Service(home, database("trial"))
    for number in range(80):  # more than the tests of this file take
        service.add_problem(f"p{number}")
        path = home / "problems" / f"p{number}.toml"
        path.write_text(
            path.read_text() + SERVING.format(mode=MODES.get(number, "canary"), flips=0.999 if number in LAX else 0.4)
        )
    migrate(service.database_url)
    for version, kind in {1: "", 2: "", 45: "", 5: "slow", 6: "fails"}.items():
        make_model(home / "templates", "t", version, kind=kind)
    with running(service):
        yield service


@pytest.fixture(scope="module")
def take(service, mlflow_file) -> Callable[[int], Case]:
    def take(number: int) -> Case:
        made = Case(service, f"p{number}", service.home / "templates", mlflow_file)
        Registry(mlflow_file)._client.create_registered_model(made.name)
        made.promote(1, None)
        assert isinstance(made.deploy(run_key="first"), Deployed)
        return made

    return take


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count(10)


@pytest.fixture
def case(take, numbers):
    return take(next(numbers))


def test_the_challenger_answers_its_share_and_always_the_same_entities(case):
    case.attempt(2, share=0.25)
    first = case.versions(KEYS)
    assert set(first) == {1, 2}
    assert first.count(2) / len(KEYS) == pytest.approx(0.25, abs=0.07)
    assert case.versions(KEYS) == first
    case.attempt(2, share=0.6, step=1)
    second = case.versions(KEYS)
    assert second.count(2) / len(KEYS) == pytest.approx(0.6, abs=0.08)
    assert all(after == 2 for before, after in zip(first, second, strict=True) if before == 2), "nobody goes back"
    named = [case.ask("someone else", **{"X-Evergreen-Entity": key})["version"] for key in KEYS[:40]]
    assert named == second[:40], "the header goes before the key"


def test_the_next_step_counts_its_requests_anew_and_what_was_seen_stays(case):
    case.attempt(2, share=0.9)
    case.versions(KEYS[:50])
    seen = case.rollout()
    assert seen["requests_in_step"] == seen["requests"]["challenger"] > 30
    case.attempt(2, share=0.95, step=1)
    told = case.rollout()
    assert (told["requests_in_step"], told["requests"]) == (0, seen["requests"])


def test_a_check_of_the_service_is_answered_by_the_version_that_serves(case):
    case.attempt(2, share=0.99)
    url = f"{case.service.url}/problems/{case.name}/predict?log=false"
    for key in KEYS[:20]:
        body = {"rows": [{"key": key, "carrier": "UA", "distance": 1.0}]}
        assert httpx.post(url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}).json()["version"] == 1


def test_a_challenger_that_fails_is_stopped_within_seconds_and_no_client_noticed(case):
    case.attempt(6, share=0.5)
    assert 6 in case.versions(KEYS[:20], distance=100.0)
    began = time.monotonic()
    seen = case.ask_until(lambda: case.rollout()["plan"] is None, distance=2 * FAR)
    assert time.monotonic() - began < 10
    assert set(seen) == {1}, "what it cannot answer the other version answers"
    stopped = case.rollout()["stopped"]
    assert "guardrail errors" in stopped["why"]
    assert "a distance that this model cannot take" in stopped["why"]
    assert set(case.versions(KEYS[:60], distance=100.0)) == {1}
    assert "stopped version 6 by itself" in case.attempt(6, share=0.5, step=1, wanted=409)
    case.attempt(2, share=0.5, name="r2")
    assert set(case.versions(KEYS[:60])) == {1, 2}


def test_what_one_worker_has_stopped_all_have_stopped(service, mlflow_file, database, tmp_path):
    several = Service(tmp_path, database("several"), workers=2)
    several.add_problem("several")
    migrate(several.database_url)
    Registry(mlflow_file)._client.create_registered_model("several")
    case = Case(several, "several", service.home / "templates", mlflow_file)
    with running(several):
        assert several.put("several", case.model(1)).status_code == 200
        case.attempt(6, share=0.5)
        before = [case.ask(key, distance=100.0)["version"] for key in KEYS[:40]]  # a connection each, so of either worker
        assert [case.ask(key, distance=100.0)["version"] for key in KEYS[:40]] == before
        assert set(before) == {1, 6}
        assert case.rollout()["requests"]["challenger"] == 2 * before.count(6), "of both workers together"
        breach(case)
        assert {case.ask(key, distance=100.0)["version"] for key in KEYS[:40]} == {1}
        assert "guardrail errors" in case.rollout()["stopped"]["why"]


def test_rows_that_no_version_can_take_are_not_held_against_the_challenger(case):
    case.attempt(2, share=0.9)
    url = f"{case.service.url}/problems/{case.name}/predict"
    for key in KEYS[:30]:
        assert httpx.post(url, json={"rows": [{"key": key, "carrier": "UA"}]}).status_code == 422
    assert case.rollout()["plan"] is not None
    assert next(rail for rail in case.rollout()["guardrails"] if rail["rule"] == "errors")["value"] == 0
    assert 2 in case.versions(KEYS[:30])


def test_a_slow_challenger_is_stopped(case):
    case.attempt(5, share=0.5)
    seen = case.ask_until(lambda: case.rollout()["plan"] is None)
    assert 5 in seen
    assert "guardrail latency" in case.rollout()["stopped"]["why"]
    assert set(case.versions(KEYS[:60])) == {1}


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_a_challenger_that_decides_otherwise_is_stopped_in_canary_and_while_it_looks_on(case, share):
    assert score_of(1, {"carrier": "UA", "distance": 100.0}) < 0.05 + 0.01 < score_of(45, {"carrier": "UA", "distance": 100.0})
    case.attempt(45, share=share)
    seen = case.ask_until(lambda: case.rollout()["plan"] is None, distance=-1000.0)
    assert set(seen) == ({1, 45} if share else {1})
    assert "guardrail flips" in case.rollout()["stopped"]["why"]
    assert set(case.versions(KEYS[:60])) == {1}


def test_an_equal_challenger_goes_on(case):
    case.attempt(2, share=0.5)
    case.versions([f"{key} {number}" for number in range(3) for key in KEYS])
    told = case.rollout()
    assert told["plan"] is not None
    assert {rail["rule"]: rail["holds"] for rail in told["guardrails"]} == {
        "errors": True,
        "latency": True,
        "flips": True,
        "distribution": True,
    }


def kill(service: Service) -> None:
    """End all of the service at once, as a power cut would, and start it again."""
    assert service.process is not None
    family = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family[1:], timeout=20)
    service.stop()
    service.start()


def breach(case: Case) -> None:
    """Clients ask what the challenger cannot answer, until the service has stopped it."""
    seen = case.ask_until(lambda: case.rollout()["plan"] is None, distance=2 * FAR)
    assert set(seen) == {1}


ROLLED_BACK = {
    "served": {1},
    "champion": 1,
    "alias": 1,
    "due": [],
    "moves": [("promote", 1), ("promote", 6), ("rollback", 1)],
    "ends": [("deployed", 1), ("deploy_failed", 6)],
    "whole": [],
}


def test_a_canary_takes_its_steps_and_then_answers_everybody(case):
    case.promote(2, 1)
    assert case.service.health()["problems"][case.name]["version"] == 1
    first = case.deploy()
    assert (first.version, first.previous, first.mode, first.step, first.num_steps, first.share) == (2, 1, "canary", 1, 2, 0.3)
    assert first.waits_for == "20 requests, at most 24 hours"
    assert case.versions(KEYS).count(2) / len(KEYS) == pytest.approx(0.3, abs=0.08)
    assert [step for _, step in case.deploy_until_over()][:1] == [2]
    assert set(case.versions(KEYS[:60])) == {2}
    state = case.state()
    assert (state["champion"], state["alias"], state["due"], state["ends"]) == (2, 2, [], [("deployed", 1), ("deployed", 2)])
    steps = [entry.body for entry in case.ledger.entries(case.name) if entry.kind == "rollout"]
    assert [step["step"] for step in steps] == [0, 1]
    assert steps[1]["seen_before"]["requests"]["challenger"] >= 20


def test_while_it_looks_on_clients_get_the_version_before_only(take):
    case = take(0)
    case.promote(2, 1)
    first = case.deploy()
    assert (first.mode, first.share, first.requests) == ("shadow", 0.0, 0)
    assert set(case.versions(KEYS[:60])) == {1}
    seen = case.ask_until(lambda: case.rollout()["requests_in_step"] >= 100)
    assert set(seen) == {1}
    case.service.wait_logged()
    ever = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    logged = requests.read(case.service.database_url, case.name, *ever, shadow=True)
    assert set(zip(logged["arm"].to_pylist(), logged["version"].to_pylist(), strict=True)) == {("champion", 1), ("shadow", 2)}
    asked, looked_on = (
        set(logged.filter(pc.equal(logged["arm"], arm))["request_id"].to_pylist()) for arm in ("champion", "shadow")
    )
    assert looked_on < asked, "a shadow answer stands beside the one that was heard"
    assert set(requests.read(case.service.database_url, case.name, *ever)["arm"].to_pylist()) == {"champion"}
    assert isinstance(case.deploy(), Deployed)
    assert set(case.versions(KEYS[:60])) == {2}


def test_a_breach_is_answered_by_the_service_and_told_by_the_deployment(case):
    case.promote(6, 1)
    case.deploy()
    breach(case)
    assert set(case.versions(KEYS[:60], distance=100.0)) == {1}, "before any deployment looks again"
    assert case.ledger.champion(case.name).version == 6
    with pytest.raises(DataError, match=r"guardrail errors: it could not .*this model cannot take.*Version 1 was put back"):
        case.deploy()
    assert case.state() == ROLLED_BACK
    with pytest.raises(DataError, match="Version 1 was put back"):
        case.deploy()
    assert isinstance(case.deploy(run_key="another"), Deployed)
    assert case.state() == ROLLED_BACK | {"ends": [*ROLLED_BACK["ends"], ("deployed", 1)]}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "when", [pytest.param("before the breach", marks=SLOW), "after the breach", pytest.param("after the rollback", marks=SLOW)]
)
def test_a_service_killed_in_a_rollout_comes_back_to_the_same_end(case, when):
    case.promote(6, 1)
    case.deploy()
    before = case.versions(KEYS[:60], distance=100.0)
    assert set(before) == {1, 6}

    if when == "before the breach":
        kill(case.service)
        assert case.versions(KEYS[:60], distance=100.0) == before
    breach(case)
    if when == "after the breach":
        kill(case.service)
        assert set(case.versions(KEYS[:60], distance=100.0)) == {1}
    with pytest.raises(DataError, match="guardrail errors"):
        case.deploy()
    if when == "after the rollback":
        kill(case.service)
    assert case.state() == ROLLED_BACK


def test_a_service_that_starts_between_promotion_and_deployment_serves_the_version_before(case):
    case.promote(2, 1)
    kill(case.service)
    assert set(case.versions(KEYS[:20])) == {1}


class Killed(BaseException):
    """As if the process had ended."""


STEPS: list[tuple[type, str]] = [
    (PredictionService, "attempt"),
    (PredictionService, "rollout"),
    (PredictionService, "put"),
    (Store, "write_json"),
    (Ledger, "append"),
    (Ledger, "done"),
    (Ledger, "move"),
    (Registry, "set_alias"),
]


def killed_at(number: int, run: Callable[[], Any]) -> bool:
    """Run, ended right after its `number`th step took effect; whether it came that far."""
    counter = itertools.count(1)

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            result = real(*args, **named)
            if next(counter) == number:
                raise Killed
            return result

        return step

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in STEPS:
            patch.setattr(owner, name, wrap(getattr(owner, name)))
        try:
            run()
        except Killed:
            return True
        except DataError as error:
            assert "guardrail errors" in str(error)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("breaks", [pytest.param(False, id="good version"), pytest.param(True, id="a breach")])
def test_a_deployment_killed_after_any_step_and_run_again_ends_in_the_same_state(take, numbers, breaks):
    """Each attempt is killed once, at its first look or at the one that ends it."""
    num_kills, wanted = 0, None
    for number in itertools.count(1):
        case = take(next(numbers))
        case.promote(6 if breaks else 2, 1)
        first = killed_at(number, case.deploy)
        assert isinstance(case.deploy(), RollingOut)
        case.versions(KEYS[:60], distance=100.0)
        if breaks:
            breach(case)
            last = killed_at(number, case.deploy)
            with pytest.raises(DataError, match="guardrail errors"):
                case.deploy()
        else:
            last = killed_at(number, case.deploy_until_over)
            case.deploy_until_over(distance=100.0)
        state = case.state()
        state.pop("ends") if not breaks else None
        wanted = wanted or state
        assert state == (ROLLED_BACK if breaks else wanted), f"killed after step {number}"
        assert set(state["served"]) == ({1} if breaks else {2})
        num_kills += first + last
        if not (first or last):
            break
    assert num_kills >= 8


def test_a_person_holds_resumes_and_finishes_a_rollout(case):
    with pytest.raises(ConfigError, match=r"No rollout of .* is under way"):
        case.deploy(Asked(order="hold"))
    case.promote(2, 1)
    case.deploy()
    held = case.deploy(Asked(order="hold", actor="cli:anna", comment="let me look"), "by-anna")
    assert (held.held, held.step) == (True, 1)
    case.ask_until(lambda: case.rollout()["requests_in_step"] >= 20)
    assert case.deploy().step == 1, "held, though it has all it waits for"
    assert case.deploy(Asked(order="resume"), "by-bob").step == 2
    assert case.deploy(Asked(order="hold", actor="cli:anna"), "by-anna").held is False, "the same run again asks nothing new"
    with pytest.raises(ConfigError, match="rolled out as canary already"):
        case.deploy(Asked(mode="ab"), "by-bob")
    assert isinstance(case.deploy(Asked(order="finish"), "by-carol"), Deployed)
    assert set(case.versions(KEYS[:60])) == {2}
    orders = [(e.actor, e.body["order"]) for e in case.ledger.entries(case.name) if e.kind == "rollout_order"]
    assert orders == [("cli:anna", "hold"), ("deploy", "resume"), ("deploy", "finish")]


def test_a_person_may_choose_to_swap_at_once(case):
    case.promote(2, 1)
    assert isinstance(case.deploy(Asked(mode="direct")), Deployed)
    assert set(case.versions(KEYS[:60])) == {2}


def test_a_version_that_never_answered_everybody_is_not_what_one_goes_back_to(case):
    case.promote(2, 1)
    case.deploy()
    case.promote(6, 2)
    assert case.deploy().previous == 1
    breach(case)
    with pytest.raises(DataError, match="Version 1 was put back"):
        case.deploy()
    assert (case.state()["champion"], case.state()["served"]) == (1, {1})


@pytest.mark.parametrize(
    ("number", "mode", "better"), [(1, "ab", True), (2, "ab", False), (3, "canary", True), (4, "canary", False)]
)
def test_once_labels_come_the_costs_of_decisions_decide(take, number, mode, better):
    """Version 45 says yes to what version 1 says no to; who is right the labels say."""
    case = take(number)
    case.promote(45, 1)
    patient = case.context.problem.serving.model_copy(update={"step_requests": 10**6})
    case.context = replace(case.context, problem=case.context.problem.model_copy(update={"serving": patient}))
    assert case.deploy(Asked(mode=mode)).mode == mode
    keys = [f"flight {number}" for number in range(140)]
    case.versions(keys, distance=-1000.0)
    case.service.wait_logged()
    now = datetime.now(UTC)
    rows = {"id": keys, "late": [better] * len(keys), "arrived": [now - timedelta(seconds=1)] * len(keys)}
    today = now.date()
    window = Window(today, today + timedelta(days=1))
    case.context.table("valid").replace(window, pa.table(rows | {"_day": [str(today)] * len(keys)}))
    if better:
        found = case.deploy()
        assert isinstance(found, Deployed) == (mode == "ab"), "only a test ends sooner because something is better"
        assert mode == "ab" or "plainly better" in found.outcome
    else:
        with pytest.raises(DataError, match=r"guardrail cost: .* a decision of the challenger costs \+1.0000; plainly worse"):
            case.deploy()
        assert set(case.versions(KEYS[:60])) == {1}


def test_the_command_line_shows_how_far_it_is_and_finishes_it(case, monkeypatch):
    for name, value in (case.service.environment() | {"EVERGREEN_MLFLOW_URL": case.mlflow_url}).items():
        monkeypatch.setenv(name, value)

    def said(*words: str) -> str:
        result = CliRunner().invoke(app, [*words, "--problem", case.name])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    case.promote(2, 1)
    assert "version 2 answers 30% beside 1 (step 1 of 2, " in said("deploy")
    case.versions(KEYS[:40])
    told = said("status")
    assert "version 2 answers 30% of entities: canary, step 1 of 2" in told
    assert "errors: holds; it could not answer 0 of " in told
    assert "held by hand" in said("deploy", "--order", "hold")
    assert f"version 2 answers at {case.service.url}" in said("deploy", "--order", "finish")
    assert "They agree." in said("status")
