"""The page on which people label rows, inside Airflow behind its login: whoever may start the DAG `feedback` may label."""

import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse

MOST_BYTES = 100_000
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)


def address(problem: str) -> str:
    """Path of the page below Airflow's own address."""
    return f"/evergreen/{problem}/labels"


def add(app: "FastAPI") -> None:
    """The page and what its buttons send."""
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, HTTPException, Request
    from fastapi.responses import HTMLResponse, RedirectResponse

    def may_look(request: Request, user: Any = Depends(get_user)) -> None:  # noqa: B008 - FastAPI's way
        demand_right("GET", request, user)

    def may_label(request: Request, user: Any = Depends(get_user)) -> None:  # noqa: B008
        demand_right("POST", request, user)
        demand_own_page(request)

    @app.get("/{problem}/labels", dependencies=[Depends(may_look)])
    def show_labels(problem: str, skip: str = "", user: Any = Depends(get_user)) -> HTMLResponse:  # noqa: B008
        """The next row that this person has not labelled."""
        return page(problem, user.get_name(), skip)

    @app.post("/{problem}/labels", dependencies=[Depends(may_label)])
    async def give_label(problem: str, request: Request, user: Any = Depends(get_user)) -> RedirectResponse:  # noqa: B008
        """Write the label down and show the next row."""
        from starlette.concurrency import run_in_threadpool

        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise HTTPException(413)
        try:
            told = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
            key, label = told["key"], label_of(told)
        except (UnicodeDecodeError, ValueError, KeyError) as error:
            raise HTTPException(422, f"This is no label: {error}") from error
        await run_in_threadpool(write, problem, key, label, user.get_name())
        skipped = f"?{urlencode({'skip': told['skip']})}" if told.get("skip") else ""
        return RedirectResponse(f"{address(problem)}{skipped}", 303)


def demand_right(method: Any, request: Any, user: Any) -> None:
    """Whoever may see runs of the DAG `feedback` may look, and whoever may start one may label.

    Raises: HTTPException: 404 for a problem that there is not, 403 for who may not.
    """
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import HTTPException

    from retraining import problems

    problem = request.path_params["problem"]
    if problem not in {one.name for one in problems.readable()}:
        raise HTTPException(404)
    requires_access_dag(method, DagAccessEntity.RUN, f"feedback_{problem}")(request, user)


def demand_own_page(request: Any) -> None:
    """A form on somebody else's page must not label in a person's name.

    Raises: HTTPException: 403.
    """
    from fastapi import HTTPException

    if urlsplit(request.headers.get("origin", "")).netloc != request.headers.get("host"):
        raise HTTPException(403, "Label on the page itself: the request does not come from there.")


def label_of(told: dict[str, str]) -> Any:
    """The label that a button or the fields of the form say: JSON, or for several outputs JSON by name.

    Raises: ValueError, KeyError: there is none.
    """
    if "label" in told:
        return json.loads(told["label"])
    return {name.removeprefix("label."): json.loads(text) for name, text in told.items() if name.startswith("label.")}


def write(problem: str, key: str, label: Any, user: str) -> None:
    """One label by one person.

    Raises: HTTPException: 422 for what is no label of the problem.
    """
    from fastapi import HTTPException

    from ml import context, feedback
    from ml.errors import DataError

    who = f"airflow:{user}"
    try:
        feedback.take(context.open_run(problem, "labels"), [feedback.Answer(key, label, who)], by=who)
    except DataError as error:
        raise HTTPException(422, str(error)) from error


def page(problem: str, user: str, skip: str) -> "HTMLResponse":
    """The next open row of a person, with a button and a keyboard key for every label.

    Args:
        skip: keys of rows to leave for later, separated by line ends.
    """
    from fastapi.responses import HTMLResponse

    from ml import context, feedback, pages

    run = context.open_run(problem, "labels")
    open_ = feedback.open_tasks(run, f"airflow:{user}")
    later = set(filter(None, skip.split("\n")))
    tasks = [task for task in open_ if task.key not in later]
    nonce = secrets.token_urlsafe(16)
    after = f"?{urlencode({'skip': chr(10).join([*sorted(later), tasks[0].key])})}" if tasks else ""
    content = pages.render(
        "label",
        about=run.problem.problem,
        task=tasks[0] if tasks else None,
        left=len(tasks),
        later=len(open_) - len(tasks),
        buttons=buttons(run.problem),
        fields=run.problem.outputs if run.problem.task.several or run.problem.task.label == "number" else (),
        several=run.problem.task.several,
        numbers=run.problem.task.label == "number",
        skip=skip,
        after=after,
        nonce=nonce,
    )
    headers = {
        "Content-Security-Policy": POLICY.format(nonce=nonce),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",  # under no-referrer a browser does not say where a form was
        "Cache-Control": "no-store",
    }
    return HTMLResponse(content, headers=headers)


def buttons(problem: Any) -> list[tuple[str, str]]:
    """What is written on each button, and the label it stands for as JSON; none where a number or several labels are asked."""
    if problem.task.several or problem.task.label == "number":
        return []
    if problem.problem.task == "binary":
        return [(problem.problem.positive, "true"), (f"not {problem.problem.positive}", "false")]
    return [(name, json.dumps(name)) for name in problem.outputs]
