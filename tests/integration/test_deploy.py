"""Deployment against the real service, ledger and MLflow registry: what counts is the answer that clients get."""

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ml import deploy, problem
from ml.context import Context
from ml.database import migrate
from ml.deploy.service import PredictionService
from ml.embedded.processes import free_port
from ml.errors import ConfigError, DataError, TransientError
from ml.ledger import Champion, Ledger
from ml.records import Deployed
from ml.registry import Registry
from ml.serving.schemas import Version
from ml.store import Store, digest
from tests.integration.serving_kit import ROWS, TOKEN, Service, make_model, running, score_of

NUM_PROBLEMS = 60


class World:
    """A service, and fresh problems with versions 1 and 2, of which the champion is as asked."""

    def __init__(self, service: Service, mlflow_url: str, templates: Path) -> None:
        self.service = service
        self.mlflow_url = mlflow_url
        self.templates = templates
        self.numbers = itertools.count()

    def fresh(self) -> "Case":
        return Case(self, f"p{next(self.numbers)}")


class Case:
    """One problem."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        settings = replace(world.service.settings(), mlflow_url=world.mlflow_url)
        self.context = Context(problem.load(name, settings.problems), settings, "deploy-run")
        self.ledger = Ledger(settings.database_url)

    def model(self, version: int, *, template: str = "") -> Version:
        """A model folder of this problem, and its version in MLflow."""
        folder = self.world.service.store / self.name / "runs" / f"run-{version}" / "model"
        shutil.copytree(self.world.templates / "t" / "runs" / (template or f"run-{version}") / "model", folder)
        about = json.loads((folder / "model.json").read_text()) | {"problem": self.name}
        (folder / "model.json").write_text(json.dumps(about))
        client = Registry(self.world.mlflow_url)._client
        if version == 1:
            client.create_registered_model(self.name)
        client.create_model_version(self.name, source=str(folder))
        return Version(version=version, run_key=f"run-{version}", model_digest=digest(folder))

    def promote(self, made: Version, expected: int | None) -> None:
        """As the stage promote leaves it: champion moved, alias moved, deployment due."""
        to = Champion(made.version, made.run_key, made.model_digest)
        key = f"promote {made.version} {made.model_digest}"
        moved = self.ledger.move(self.name, to=to, expected=expected, kind="promote", key=key, actor="t")
        Registry(self.world.mlflow_url).set_alias(self.name, "champion", made.version)
        body = made.model_dump() | {"previous": expected}
        self.ledger.ask(self.name, "deploy", f"move {moved.id}", body)

    def damage(self, made: Version) -> None:
        path = self.context.store.fetch(f"runs/{made.run_key}/model/saved_model/saved_model.pb")
        path.write_bytes(path.read_bytes()[:-7])

    def run(self) -> Any:
        return deploy.run(self.context)

    def served(self) -> int | None:
        """The version that a client's answer comes from, None when there is no answer; scores must be that version's."""
        response = self.world.service.predict(self.name, ROWS)
        if response.status_code == 503:
            return None
        answer = response.json()
        expected = [score_of(answer["version"], row) for row in ROWS]
        assert [p["score"] for p in answer["predictions"]] == pytest.approx(expected, abs=1e-6)
        return int(answer["version"])

    def state(self) -> dict[str, Any]:
        """Everything that must be the same however the deployment got there."""
        champion = self.ledger.champion(self.name)
        return {
            "served": self.served(),
            "champion": champion.version if champion else None,
            "alias": Registry(self.world.mlflow_url).alias(self.name, "champion"),
            "entries": [(e.kind, e.version) for e in self.ledger.entries(self.name)],
            "due": self.ledger.due(self.name, "deploy"),
        }


@pytest.fixture(scope="module")
def world(database, tmp_path_factory):
    home = tmp_path_factory.mktemp("world")
    service = Service(home, database("deploy"))
    for number in range(NUM_PROBLEMS):
        service.add_problem(f"p{number}")
    migrate(service.database_url)
    for version in (1, 2, 3):
        make_model(home / "templates", "t", version)
    make_model(home / "templates", "t", 9, run_key="liar", example_of=2)
    with running(service):
        yield World(service, f"sqlite:///{home}/mlflow.db", home / "templates")


@pytest.fixture
def case(world):
    return world.fresh()


@pytest.fixture
def served_once(case):
    """Version 1 is deployed."""
    case.promote(case.model(1), None)
    case.run()
    return case


def kinds(case: Case) -> list[str]:
    return [entry.kind for entry in case.ledger.entries(case.name)]


def test_without_a_champion_there_is_nothing_to_deploy(case):
    assert case.run() is None
    assert kinds(case) == []


def test_a_dry_run_deploys_nothing(case):
    case.promote(case.model(1), None)
    case.context = replace(case.context, dry_run=True)
    assert case.run() is None
    assert case.served() is None
    assert len(case.ledger.due(case.name, "deploy")) == 1


def test_a_promoted_version_is_served_and_its_answer_is_kept(served_once):
    case = served_once
    case.promote(case.model(2), 1)
    deployed = case.run()
    assert deployed is not None
    assert deployed == case.context.record(Deployed)
    assert (deployed.version, deployed.request) == (2, {"rows": ROWS[:1]})
    assert deployed.answer["version"] == 2
    assert deployed.answer["predictions"][0]["score"] == pytest.approx(deployed.expected_score, abs=1e-6)
    assert deployed.url == f"{case.world.service.url}/problems/{case.name}/predict"
    assert httpx.post(deployed.url, json=deployed.request).json()["predictions"] == deployed.answer["predictions"]
    assert case.served() == 2
    assert kinds(case) == ["promote", "deployed", "promote", "deployed"]
    assert case.ledger.due(case.name, "deploy") == []


def test_an_event_that_comes_twice_deploys_once(case):
    by_event = replace(case.context, reason="schedule")
    case.promote(case.model(1), None)
    assert deploy.done_by_another(by_event) is None, "it is due"
    case.run()
    assert deploy.done_by_another(by_event) is None, "it is this very run, killed after its last step"
    again = replace(by_event, run_key="again")
    assert "deployed by another run" in (deploy.done_by_another(again) or "")
    assert deploy.done_by_another(replace(again, reason="manual")) is None, "a person asked"
    case.promote(case.model(2), 1)
    assert deploy.done_by_another(again) is None


def test_the_checks_of_a_deployment_are_no_traffic(served_once):
    from datetime import UTC, datetime

    from ml import requests

    served_once.world.service.wait_logged()
    ever = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    assert requests.read(served_once.world.service.database_url, served_once.name, *ever).num_rows == 0


def test_only_the_champion_is_deployed_when_several_versions_are_due(case):
    case.promote(case.model(1), None)
    case.promote(case.model(2), 1)
    assert case.run().version == 2
    assert case.ledger.due(case.name, "deploy") == []
    assert kinds(case) == ["promote", "promote", "deployed"]


def test_by_hand_the_champion_is_deployed_again_after_the_service_lost_it(served_once):
    case = served_once
    httpx.delete(f"{case.world.service.url}/problems/{case.name}/version", headers={"Authorization": f"Bearer {TOKEN}"})
    assert case.served() is None
    case.context = replace(case.context, run_key="by-hand")
    assert case.run().version == 1
    assert case.served() == 1


def test_a_damaged_version_is_rolled_back_and_the_old_one_answers(served_once):
    case = served_once
    bad = case.model(2)
    case.promote(bad, 1)
    case.damage(bad)
    with pytest.raises(DataError, match=r"Version 2 of .* was not deployed.*has been changed.*Version 1 was put back"):
        case.run()
    assert case.state() == {
        "served": 1,
        "champion": 1,
        "alias": 1,
        "entries": [("promote", 1), ("deployed", 1), ("promote", 2), ("rollback", 1), ("deploy_failed", 2)],
        "due": [],
    }
    assert case.ledger.verify() == []
    with pytest.raises(DataError, match="Version 1 was put back"):
        case.run()
    case.context = replace(case.context, run_key="another-run")
    assert case.run().version == 1


def test_a_damaged_folder_that_only_the_service_sees_is_rolled_back_too(served_once, monkeypatch):
    case = served_once
    bad = case.model(2)
    case.promote(bad, 1)
    case.damage(bad)
    example = case.context.store.read_json("runs/run-2/model/example.json")
    real = deploy.stage._example
    monkeypatch.setattr(deploy.stage, "_example", lambda d, v: example if v.version == 2 else real(d, v))
    with pytest.raises(DataError, match=r"answered 409: .*has been changed since it was registered.*Version 1 was put back"):
        case.run()
    assert case.served() == 1


def loosen(world: World, case: Case) -> None:
    """The pipeline is strict, and the service is not: it takes a version whose answers are not the evaluated ones."""
    case.context = replace(case.context, problem=problem.load(case.name, world.service.home / "strict"))


@pytest.fixture
def loose(database, tmp_path, world):
    """A world whose service allows any difference."""
    service = Service(tmp_path, database("loose"))
    for number in range(3):
        service.add_problem(f"p{number}")
        path = tmp_path / "problems" / f"p{number}.toml"
        (tmp_path / "strict").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "strict")
        path.write_text(path.read_text() + "\n[serving]\ntolerance = 1.0\n")
    migrate(service.database_url)
    with running(service):
        yield World(service, f"sqlite:///{tmp_path}/mlflow.db", world.templates)


def test_a_version_that_answers_otherwise_than_evaluated_never_stays(loose):
    case = loose.fresh()
    loosen(loose, case)
    case.promote(case.model(1), None)
    case.run()
    case.promote(case.model(2, template="liar"), 1)
    with pytest.raises(DataError, match=r"scores its own example otherwise.*Version 1 was put back"):
        case.run()
    assert (case.served(), case.ledger.champion(case.name).version) == (1, 1)

    first = loose.fresh()
    loosen(loose, first)
    first.promote(first.model(1, template="liar"), None)
    with pytest.raises(DataError, match=r"No version served before it. Nothing serves now"):
        first.run()
    assert first.served() is None


def test_a_first_version_that_is_refused_leaves_nothing_serving_and_says_so(case):
    bad = case.model(1)
    case.promote(bad, None)
    case.damage(bad)
    with pytest.raises(DataError, match=r"No version served before it. Nothing serves now"):
        case.run()
    assert case.served() is None
    assert kinds(case) == ["promote", "deploy_failed"]
    assert case.ledger.due(case.name, "deploy") == []


def test_when_the_version_before_is_damaged_too_the_service_keeps_what_it_has(served_once):
    case = served_once
    case.damage(Version(version=1, run_key="run-1", model_digest="0" * 64))
    bad = case.model(2)
    case.promote(bad, 1)
    case.damage(bad)
    with pytest.raises(DataError, match=r"1, cannot be put back either.*goes on with version 1"):
        case.run()
    assert case.served() == 1


def test_a_service_that_is_away_is_tried_again_and_nothing_moves(served_once):
    case = served_once
    case.promote(case.model(2), 1)
    before = case.state()
    context = case.context
    case.context = replace(context, settings=replace(context.settings, serving_url=f"http://127.0.0.1:{free_port(0)}"))
    with pytest.raises(TransientError, match=r"does not answer at http://127.0.0.1:\d+ .*python -m ml.serving"):
        case.run()
    assert case.state() == before
    case.context = context
    assert case.run().version == 2


def test_a_wrong_token_is_told_and_moves_nothing(served_once):
    case = served_once
    case.promote(case.model(2), 1)
    before = case.state()
    case.context = replace(case.context, settings=replace(case.context.settings, serving_token="wrong"))
    with pytest.raises(ConfigError, match="EVERGREEN_SERVING_TOKEN"):
        case.run()
    assert case.state() == before


def test_while_mlflow_is_away_a_rollback_still_ends_and_the_alias_is_due(served_once):
    case = served_once
    bad = case.model(2)
    case.promote(bad, 1)
    case.damage(bad)
    away = replace(case.context.settings, mlflow_url=f"http://127.0.0.1:{free_port(0)}")
    case.context = replace(case.context, settings=away)
    with pytest.raises(DataError, match="Version 1 was put back"):
        case.run()
    assert case.served() == 1
    assert [work.body["version"] for work in case.ledger.due(case.name, "alias")] == [1]


class Killed(BaseException):
    """As if the process had ended."""


STEPS: list[tuple[type, str]] = [
    (PredictionService, "put"),
    (PredictionService, "predict"),
    (Store, "write_json"),
    (Ledger, "append"),
    (Ledger, "done"),
    (Ledger, "move"),
    (Registry, "set_alias"),
]


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int, *, after: bool) -> Callable[[], int]:
    """End the run at its `number`th step, before or after the step took effect; returns how many steps were begun."""
    counter = itertools.count(1)
    last = [0]

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            last[0] = next(counter)
            if last[0] == number and not after:
                raise Killed
            result = real(*args, **named)
            if last[0] == number:
                raise Killed
            return result

        return step

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, wrap(getattr(owner, name)))
    return lambda: last[0]


@pytest.mark.parametrize(
    ("damaged", "every"),
    [
        pytest.param(True, 3, id="damaged version, every third step"),
        pytest.param(True, 1, id="damaged version", marks=pytest.mark.slow),
        pytest.param(False, 1, id="good version", marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_step_and_run_again_it_ends_in_the_same_state(world, damaged, every):
    def attempt(number: int, after: bool) -> tuple[dict[str, Any], bool]:
        case = world.fresh()
        case.promote(case.model(1), None)
        case.run()
        made = case.model(2)
        case.promote(made, 1)
        if damaged:
            case.damage(made)
        killed = False
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, number, after=after)
            try:
                case.run()
            except Killed:
                killed = True
            except DataError:
                assert damaged
        if killed:
            try:
                case.run()
            except DataError:
                assert damaged
        assert case.ledger.verify() == []
        return case.state(), killed

    wanted, _ = attempt(10_000, False)
    assert (wanted["served"], wanted["champion"], wanted["alias"], wanted["due"]) == ((1, 1, 1, []) if damaged else (2, 2, 2, []))
    num_kills = 0
    for number in itertools.count(1, every):
        outcomes = [attempt(number, after) for after in (False, True)]
        if not outcomes[0][1]:
            break
        for state, killed in outcomes:
            assert killed
            assert state == wanted, f"killed at step {number}"
            num_kills += 1
    assert num_kills >= 10 / every
