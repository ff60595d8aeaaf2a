"""What people and programs tell about answers: checked, and kept until the next run joins it with them."""

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from ml import targets
from ml.errors import DataError
from ml.requests import feedback
from ml.serving import metrics
from ml.serving.http import body_of, failures, read_body, read_json
from ml.serving.live import LiveModel
from ml.serving.schemas import Feedback, Said, Taken
from ml.serving.service import Service

SHAPE = '{"feedback": [{"request_id": "...", "verdict": "wrong"}, {"key": "...", "label": true}]}'


def add(app: FastAPI, service: Service) -> None:
    """The route."""

    @app.post(
        "/problems/{problem}/feedback",
        tags=["Predictions"],
        summary="Say what is right",
        status_code=202,
        response_model=Taken,
        responses=failures(401, 403, 404, 413, 422, 503),
        openapi_extra=body_of(Feedback),
    )
    async def give_feedback(problem: str, request: Request) -> JSONResponse:
        """Kept at once, joined with the answers by the next run of the DAG `feedback`, learned from after that."""
        live = service.problem(problem)
        service.pressure.admit()
        body = await read_body(request)
        client = service.access.admit(request.headers.get("authorization"), "feedback").name
        loop = asyncio.get_running_loop()
        said = await loop.run_in_executor(service.scoring, _read, body, live, client, service.settings.now())
        await loop.run_in_executor(service.scoring, service.feedback.put, said)
        metrics.told(said)
        taken = Taken(problem=problem, taken=len(said), ids=[one.id for one in said])
        return JSONResponse(taken.model_dump(), 202)


def _read(body: bytes, live: LiveModel, client: str, now: datetime) -> list[feedback.Said]:
    """Checked feedback, in the order in which it was told.

    Raises: DataError: another shape, or a label that is none for the problem; says which one.
    """
    told, began = read_json(body, Feedback, SHAPE).feedback, time.time_ns()
    labels = _labels(told, live)
    return [
        feedback.Said(
            problem=live.problem.name,
            id=_text(one.id or str(uuid4()), place),
            key=None if one.key is None else live.hidden_key(_text(str(one.key), place)),
            request_id=None if one.request_id is None else _text(one.request_id, place),
            position=one.position,
            verdict=one.verdict,
            label=labels[place],
            source=one.kind,
            labeller=_text(one.by or client, place),
            received_at=now,
            ordinal=began + place,
        )
        for place, one in enumerate(told)
    ]


def _labels(told: Sequence[Said], live: LiveModel) -> list[str | None]:
    found: list[str | None] = []
    for place, one in enumerate(told):
        try:
            found.append(None if one.label is None else json.dumps(targets.checked(one.label, live.problem)))
        except DataError as error:
            raise DataError(f"feedback.{place}.label: {error}") from error
    return found


def _text(text: str, place: int) -> str:
    if "\0" in text:
        raise DataError(f"feedback.{place}: a text holds the character NUL (\\u0000), which no text may hold.")
    return text
