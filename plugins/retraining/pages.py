"""The pages that a run writes for people, served inside Airflow behind its login.

Airflow mounts an app of a plugin without asking who calls, so every route here asks by itself.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/evergreen"
STILL = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# Evidently's page draws with scripts of its own; the sandbox gives them an origin without Airflow's cookies
MOVING = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# page: the kind of DAG whose task `report` writes it and whose readers may see it, and what a browser lets it do
PAGES = {
    "validation.html": ("retrain", STILL),
    "data.html": ("retrain", STILL),
    "monitor.html": ("monitor", MOVING),
    "dossier.html": ("monitor", STILL),
    "backtest.html": ("backtest", STILL),
}
OVER_TIME = "monitor/index.html"  # of a problem, not of a run; for who may see the monitor's runs

ABSENT = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Not there</title>
<style>:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; max-width: 34em; margin: 3em auto }</style>
<h1>This page is not there</h1><p>The task <b>report</b> of the run writes it. It has not ended yet, was skipped, or failed: look
at it in the graph, then load this page again.</p>"""


class Pages:
    """The app as Airflow mounts it. It is built at the first request: schedulers and workers load plugins too, and never ask."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            self._app = build()
        await self._app(scope, receive, send)


def address(problem: str, run_key: str, page: str) -> str:
    """Path of a page below Airflow's own address."""
    return f"{PREFIX}/{problem}/runs/{run_key}/{page}"


def over_time(problem: str) -> str:
    """Path of the page over all days, below Airflow's own address."""
    return f"{PREFIX}/{problem}/{OVER_TIME}"


def build() -> "FastAPI":
    """The app: no interface description, and nothing for those who are not logged in."""
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, FastAPI, Request
    from fastapi.responses import HTMLResponse

    from retraining import asking, labelling, overview

    app = FastAPI(dependencies=[Depends(get_user)], docs_url=None, redoc_url=None, openapi_url=None)

    def may_read(request: Request, user: Any = Depends(get_user)) -> None:  # noqa: B008 - FastAPI's way
        demand_access(request, user)

    @app.get("/{problem}/runs/{run_key}/{page}", dependencies=[Depends(may_read)])
    def show(problem: str, run_key: str, page: str) -> HTMLResponse:
        """One page of one run."""
        return answer(read(problem, run_key, page), PAGES[page][1])

    @app.get("/{problem}/" + OVER_TIME, dependencies=[Depends(may_read)])
    def show_days(problem: str) -> HTMLResponse:
        """What monitoring said over all days."""
        return answer(read(problem, None, OVER_TIME), STILL)

    def answer(content: bytes | None, policy: str) -> HTMLResponse:
        headers = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
        if content is None:
            return HTMLResponse(ABSENT, status_code=404, headers=headers | {"Content-Security-Policy": STILL})
        return HTMLResponse(content, headers=headers | {"Content-Security-Policy": policy})

    for part in (labelling, asking, overview):
        part.add(app)
    return app


def demand_access(request: Any, user: Any) -> None:
    """Whoever may read the runs of the DAG may read its pages.

    Raises: HTTPException: 404 for what is no page of ours, 403 for who may not see the DAG.
    """
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import HTTPException

    from retraining import problems

    about = request.path_params
    kind = PAGES.get(about["page"], ("",))[0] if "page" in about else "monitor"
    if not kind or about["problem"] not in {one.name for one in problems.readable()}:
        raise HTTPException(404)
    dag_id = f"{kind}_{about['problem']}"
    requires_access_dag("GET", DagAccessEntity.RUN, dag_id)(request, user)


def read(problem: str, run_key: str | None, page: str) -> bytes | None:
    """The page from the store, of a run or of the problem; None when it is not there."""
    from ml import context
    from ml.errors import ConfigError

    try:
        run = context.open_run(problem, run_key or "pages")  # refuses keys that are no folder name
    except ConfigError:
        return None
    name = run.name(page) if run_key else page
    return run.store.read(name) if run.store.exists(name) else None
