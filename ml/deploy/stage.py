"""Bring the champion into service, ask it, and believe only its answer; on any doubt put the version before it back.

The ledger leads: what is deployed is its champion, and the "deploy" work that is due only says that it is time. Everything
here may be killed and run again: a finished step does nothing the second time, and a rollback that was begun is finished.
"""

import json
import logging
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ml import alias, snapshot
from ml.context import Context
from ml.deploy import rollout as rollouts
from ml.deploy.rollout import NOTHING, Asked
from ml.deploy.service import PredictionService
from ml.errors import DataError, RefusedError, TransientError
from ml.ledger import Champion, Entry, Ledger, Work
from ml.records import Deployed, RollingOut
from ml.rollout import serving
from ml.scoring import difference

log = logging.getLogger(__name__)
ACTOR = "deploy"


class WrongAnswerError(DataError):
    """The service took the version, and answers otherwise than the evaluation did."""


@dataclass(frozen=True)
class Deployment:
    """A stage's collaborators, so that its steps need not hand them around."""

    context: Context
    ledger: Ledger
    service: PredictionService
    asked: list[Work]

    @property
    def problem(self) -> str:
        """Name of the problem."""
        return self.context.problem.name


def run(context: Context, wish: Asked = NOTHING) -> Deployed | RollingOut | None:
    """Deploy the champion, or take its rollout as far as it may go now; None when there is none yet, or in a dry run.

    Returns: Deployed when it answers everybody, RollingOut when somebody should look again later: run this once more then.
    Raises:
        DataError: the version could not be served, or broke a guardrail, and was rolled back; says what serves now.
        TransientError: the service or the database is away. ConfigError: the service does not accept the token, or what a
            person wished cannot be.
    """
    settings = context.settings
    ledger = context.ledger
    asked = ledger.due(context.problem.name, "deploy")  # before the champion: what is asked from here on is for a later run
    champion = ledger.champion(context.problem.name)
    if champion is None or context.dry_run:
        return None
    service = PredictionService(settings.serving_url, settings.serving_token, context.problem.name)
    deployment = Deployment(context, ledger, service, asked)
    if (begun := _unfinished_rollback(deployment, champion)) is not None:
        _finish_rollback(deployment, begun)
    rollout = rollouts.begin(context, champion, wish)
    try:
        if rollout is not None and (waiting := rollouts.advance(context, rollout, service)) is not None:
            return context.write(waiting)
        deployed = bring_into_service(deployment, champion)
        if rollout is not None:  # the service may have stopped it while we were about to finish
            rollouts.demand_not_stopped(rollout, service)
    except (DataError, RefusedError) as error:
        _give_up(deployment, champion, error)
    alias.follow(context, patient=True)  # telling people must not wait for MLflow
    _write_down(deployment, champion, deployed)
    return deployed


def done_by_another(context: Context) -> str | None:
    """Why a run that an event started has nothing to do: events come twice, and another run has deployed the champion."""
    name, ledger = context.problem.name, context.ledger
    champion = ledger.champion(name)
    if context.reason != "schedule" or champion is None or ledger.due(name, "deploy"):
        return None
    runs = [
        entry.key for entry in ledger.entries(name) if entry.kind == "deployed" and entry.key.startswith(_key_of(champion, ""))
    ]
    if not runs or _key_of(champion, context.run_key) in runs:
        return None
    return f"version {champion.version} was deployed by another run; to deploy it all the same, trigger this DAG by hand"


def _key_of(champion: Champion, run_key: str) -> str:
    return f"move {champion.entry}, run {run_key}"


def bring_into_service(deployment: Deployment, version: Champion) -> Deployed:
    """Make a version live and compare what it answers with what the evaluation saw.

    Raises: DataError: its folder is not what was registered, or the service answers otherwise (WrongAnswerError).
        RefusedError: the service does not take it.
    """
    example = _example(deployment, version)
    deployment.service.put(version.version, version.run_key, version.model_digest)
    _ask(deployment, version, example["rows"], example["scores"])
    request, answer = _ask(deployment, version, example["rows"][:1], example["scores"][:1])
    return Deployed(
        version=version.version,
        url=deployment.service.predict_url,
        request=request,
        answer=answer,
        expected_score=example["scores"][0],
    )


def _example(deployment: Deployment, version: Champion) -> dict[str, Any]:
    folder = snapshot.model_of(deployment.context.store, version.run_key, version.model_digest)
    example: dict[str, Any] = json.loads((folder / "example.json").read_text())
    return example


def _ask(
    deployment: Deployment, version: Champion, rows: list[dict[str, Any]], scores: list[Any]
) -> tuple[dict[str, object], dict[str, object]]:
    """The request and its answer, when version and scores are the expected ones."""
    request: dict[str, object] = {"rows": rows}
    answer = deployment.service.predict(request)
    if answer["version"] != version.version:
        raise WrongAnswerError(f"The service was given version {version.version} and answers with version {answer['version']}.")
    served = np.array([_scores(prediction) for prediction in answer["predictions"]], dtype=np.float64)
    found = difference(served, np.array(scores, dtype=np.float64))
    if not found <= deployment.context.problem.serving.tolerance:
        raise WrongAnswerError(
            f"Version {version.version} in service scores its own example otherwise than in training: by up to {found:.3g}, "
            f"[serving] tolerance allows {deployment.context.problem.serving.tolerance:g}."
        )
    return request, answer


def _scores(prediction: dict[str, Any]) -> float | list[float]:
    """What a prediction says, as the example's file holds it."""
    return list(prediction["scores"].values()) if "scores" in prediction else float(prediction["score"])


def _write_down(deployment: Deployment, champion: Champion, deployed: Deployed) -> None:
    ledger = deployment.ledger
    deployment.context.write(deployed)
    ledger.append(
        deployment.problem,
        "deployed",
        key=_key_of(champion, deployment.context.run_key),
        actor=ACTOR,
        version=champion.version,
        run_key=champion.run_key,
        body={"url": deployed.url, "answer": deployed.answer, "expected_score": deployed.expected_score},
    )
    for work in deployment.asked:
        mine = work.body.get("version") == champion.version
        ledger.done(work, "deployed" if mine else f"superseded: version {champion.version} is champion")


def _give_up(deployment: Deployment, failed: Champion, error: DataError | RefusedError) -> NoReturn:
    """Put the version before the failed one back, first in the service, then in the ledger and the registry.

    Raises: DataError: always, with the whole story.
    """
    standing = deployment.ledger.succession(deployment.problem)
    if standing and standing[-1].entry != failed.entry:
        now = standing[-1].version
        raise TransientError(f"{error} Meanwhile version {now} became champion; its own deployment brings it into service.")
    previous = _before(deployment, failed)
    if previous is None:
        _fail(deployment, failed, f"{error} No version served before it. {_nothing_else(deployment, error)}")
    try:
        bring_into_service(deployment, previous)
    except (DataError, RefusedError) as second:
        told = f"{error} The version before it, {previous.version}, cannot be put back either: {second}"
        _fail(deployment, failed, f"{told} {_nothing_else(deployment, error)}")
    moved = deployment.ledger.move(
        deployment.problem,
        to=previous,
        expected=failed.version,
        kind="rollback",
        key=_key(failed),
        actor=ACTOR,
        body={
            "reason": str(error),
            "failed": list(failed[:3]),
            "failed_entry": failed.entry,
            "run": deployment.context.run_key,
        },
    )
    _finish_rollback(deployment, moved)


def _before(deployment: Deployment, failed: Champion) -> Champion | None:
    """The newest version before that answered everybody; of none that did, the champion before."""
    entries = deployment.ledger.entries(deployment.problem)
    earlier = [entry for entry in entries if entry.id < (failed.entry or 0)]
    standing = deployment.ledger.succession(deployment.problem)[:-1]
    return serving(earlier) or (standing[-1] if standing else None)


def _nothing_else(deployment: Deployment, error: Exception) -> str:
    """Nothing can take over: a version that answers wrongly is taken out, one that was refused never came in."""
    if isinstance(error, WrongAnswerError):
        deployment.service.withdraw()
    serving = deployment.service.version()
    if serving is None:
        return "Nothing serves now. Mend the cause and deploy again, or retrain and promote."
    return f"The service goes on with version {serving}, which it has in memory. Mend the cause before it is restarted."


def _unfinished_rollback(deployment: Deployment, champion: Champion) -> Entry | None:
    """The rollback that made this champion, when its last step, `deploy_failed`, is missing, or this very run made it.

    A run killed after its last step failed nevertheless: run again it tells the same story, not that all is well.
    """
    moves = [entry for entry in deployment.ledger.moves(deployment.problem) if entry.id == champion.entry]
    begun = [move for move in moves if move.kind == "rollback" and "failed_entry" in move.body]
    if not begun or begun[0].body["run"] == deployment.context.run_key:
        return begun[0] if begun else None
    told = deployment.ledger.find(deployment.problem, "deploy_failed", begun[0].key)
    return begun[0] if told is None else None


def _finish_rollback(deployment: Deployment, moved: Entry) -> NoReturn:
    """The ledger has moved back; let the registry follow, ask the service once more, and tell.

    Raises: DataError: always, with the whole story.
    """
    bring_into_service(deployment, moved.champion)
    alias.follow(deployment.context, patient=True)  # telling people must not wait for MLflow
    version, run_key, model_digest = moved.body["failed"]
    failed = Champion(version, run_key, model_digest, entry=moved.body["failed_entry"])
    again = f"Version {moved.version} was put back; the service answers with it again, checked by its example."
    _fail(deployment, failed, f"{moved.body['reason']} {again}")


def _fail(deployment: Deployment, failed: Champion, story: str) -> NoReturn:
    """Close the work, write the failure down as the last step, and raise."""
    for work in deployment.asked:
        mine = work.body.get("version") == failed.version
        deployment.ledger.done(work, f"failed: {story}" if mine else f"superseded by version {failed.version}")
    deployment.ledger.append(
        deployment.problem,
        "deploy_failed",
        key=_key(failed),
        actor=ACTOR,
        version=failed.version,
        run_key=failed.run_key,
        body={"story": story},
    )
    raise DataError(f"Version {failed.version} of {deployment.problem} was not deployed. {story}")


def _key(failed: Champion) -> str:
    """A move of the champion fails at most once, so its entry names the failure."""
    return f"move {failed.entry}"
