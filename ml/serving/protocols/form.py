"""A page where a person fills in one row and gets an answer: a plain HTML form, no script, nothing loaded from elsewhere."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse

from ml import pages
from ml.errors import DataError
from ml.scoring import Scorer, in_words
from ml.serving.answer import Rows
from ml.serving.http import FAILURES, read_body
from ml.serving.live import LiveModel
from ml.serving.protocols.rows import plain_rows, rows_of
from ml.serving.routing import ENTITY_HEADER
from ml.serving.service import Service

MANY_FIELDS = 10_000
SECURE = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"}
KINDS = {"number": "number", "datetime": "datetime-local"}
EXEMPLIFIED = ("category", "number", "zip")


def add(app: FastAPI, service: Service) -> None:
    """The page and what it sends."""

    @app.get(
        "/problems/{problem}/form",
        tags=["Pages"],
        summary="A form to ask one row",
        responses=_answers(404),
        response_class=HTMLResponse,
    )
    async def show_form(problem: str) -> HTMLResponse:
        live = service.problem(problem)
        example = _example(live)
        return _page(live, example, {})

    @app.post(
        "/problems/{problem}/form",
        tags=["Pages"],
        summary="What the form sends",
        responses=_answers(404, 413)
        | {422: {"description": "the page, saying what is wrong"}, 503: {"description": "no model yet"}},
        response_class=HTMLResponse,
        openapi_extra={"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}},
    )
    async def ask_form(problem: str, request: Request) -> HTMLResponse:
        """The page again, with the answer or with what is wrong with the row."""
        live = service.problem(problem)
        service.pressure.admit()
        filled = await asyncio.get_running_loop().run_in_executor(service.scoring, _fields, await read_body(request))
        try:
            scorer = service.model(problem).scorer
            rows = _rows(filled, scorer)
            answered = await service.answer(problem, rows, entity=request.headers.get(ENTITY_HEADER))
        except DataError as error:
            return _page(live, filled, {"wrong": str(error)}, 422)
        except HTTPException as error:
            return _page(live, filled, {"wrong": str(error.detail)}, error.status_code)
        said = {"request": answered, "words": in_words(answered.answers[0]), "sent": _sent(rows)}
        return _page(live, filled, said)


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What is answered instead of the page."""
    told = {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}
    return {status: {"description": FAILURES[status]["description"], "content": told} for status in statuses}


def _page(live: LiveModel, filled: dict[str, str], said: dict[str, Any], status: int = 200) -> HTMLResponse:
    model = live.state.current
    fields = _described(model.scorer) if model else []
    about = {"problem": live.problem.problem, "fields": fields, "filled": filled, "complaint": live.complaint}
    answer = {"wrong": None, "request": None, "words": "", "sent": ""} | said
    version = model.id.version if model else None
    return HTMLResponse(pages.render("form", version=version, **about, **answer), status, SECURE)


def _described(scorer: Scorer) -> list[dict[str, Any]]:
    """What the page needs to draw an input per column."""
    examples = plain_rows(scorer.example["rows"], scorer)
    return [
        {
            "name": name,
            "type": feature.type,
            "input": KINDS.get(feature.type, "text"),
            "hint": f"local time of {scorer.timezone}" if feature.type == "datetime" else "",
            "examples": sorted({_shown(row[name]) for row in examples} - {""}) if feature.type in EXEMPLIFIED else [],
        }
        for name, feature in scorer.columns.items()
    ]


def _example(live: LiveModel) -> dict[str, str]:
    """The model's own example, to start from."""
    if live.state.current is None:
        return {}
    scorer = live.state.current.scorer
    return {name: _shown(value) for name, value in plain_rows(scorer.example["rows"][:1], scorer)[0].items()}


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _fields(body: bytes) -> dict[str, str]:
    """What the browser sent, by name; bytes that are no form hold no field."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MANY_FIELDS)
    except ValueError:
        return {}
    return dict(pairs)


def _rows(filled: dict[str, str], scorer: Scorer) -> Rows:
    """One row; a field that the browser left out is missing, as one that is empty.

    Raises: DataError: a value is none that its column takes, or a field is unknown.
    """
    given = dict.fromkeys(scorer.columns, "") | filled
    kinds = {name: feature.type for name, feature in scorer.columns.items()}
    return rows_of({name: [_typed(value, kinds.get(name, ""))] for name, value in given.items()}, scorer)


def _typed(value: str, kind: str) -> Any:
    if kind == "boolean":
        return {"true": True, "false": False}.get(value, value)
    if kind != "number" or not value.strip():
        return value if kind != "number" else None
    try:
        return float(value)
    except ValueError:
        return value


def _sent(rows: Rows) -> str:
    """The same question as a program would send it."""
    return json.dumps({"rows": rows.columns}, ensure_ascii=False)
