"""The interface described: OpenAPI with examples that the models answer, and a page that shows it without loading anything."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from ml import pages
from ml.scoring import Scorer
from ml.serving.loaded import Model
from ml.serving.protocols import tfserving, v2
from ml.serving.service import Service

SECURE = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
METHODS = ("get", "post", "put", "delete")


def add(app: FastAPI, service: Service) -> None:
    """`/openapi.json` with the examples of the models that answer now, and `/docs`."""

    def described() -> dict[str, Any]:
        return openapi(app, {name: live.state.current for name, live in service.live.items() if live.state.current})

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to extend the description

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        problems = [live.problem.problem for live in service.live.values()]
        content = described()
        return HTMLResponse(
            pages.render("docs", about=content["info"], problems=problems, groups=_groups(content)), headers=SECURE
        )


def openapi(app: FastAPI, models: dict[str, Model]) -> dict[str, Any]:
    """The description of every route; bodies carry one example per problem that answers."""
    content = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = content.setdefault("components", {}).setdefault("schemas", {})
    makers = {"/predict": _rows, "/feedback": _told_of, "/infer": v2.example, ":predict": tfserving.example}
    for path, operations in content["paths"].items():
        for operation in operations.values():
            if operation["responses"].get("422", {}).get("description") == "Validation Error":
                del operation["responses"]["422"]  # FastAPI adds it wherever there is a parameter; texts are always valid
            for parameter in operation.get("parameters", ()):
                if models and parameter["in"] == "path":
                    number = parameter["name"] == "version"
                    parameter["examples"] = {
                        name: {"value": str(model.id.version) if number else name} for name, model in models.items()
                    }
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            schemas.update(body.get("schema", {}).pop("$defs", {}))
            maker = next((make for end, make in makers.items() if path.endswith(end)), None)
            if maker and models:
                body["examples"] = {name: {"value": maker(model.scorer)} for name, model in models.items()}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return content


def _rows(scorer: Scorer) -> dict[str, Any]:
    return {"rows": [{"key": "my-1"} | row for row in scorer.example["rows"][:1]]}


def _told_of(scorer: Scorer) -> dict[str, Any]:
    return {"feedback": [{"key": "my-1", "verdict": "right"}]}


def _groups(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by their tag, in the order of the routes."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in content["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                groups.setdefault(operation["tags"][0], []).append(_told(path, method, operation))
    return groups


def _told(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = {name: json.dumps(one["value"], ensure_ascii=False) for name, one in sent.get("examples", {}).items()}
    return {
        "path": path,
        "method": method.upper(),
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "fields": [*_parameters(operation), *_properties(sent.get("schema", {}))],
        "examples": [{"problem": name, "body": body, "path": path.replace("{problem}", name)} for name, body in examples.items()],
        "answers": {status: one["description"] for status, one in operation["responses"].items()},
    }


def _parameters(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Query and header; what stands in the path is to be seen there."""
    return [
        {"name": one["name"], "place": one["in"], "needed": one.get("required", False), "says": one.get("description", "")}
        for one in operation.get("parameters", ())
        if one["in"] != "path"
    ]


def _properties(schema: dict[str, Any]) -> list[dict[str, Any]]:
    needed = schema.get("required", ())
    return [
        {"name": name, "place": "body", "needed": name in needed, "says": about.get("description", "")}
        for name, about in schema.get("properties", {}).items()
    ]
