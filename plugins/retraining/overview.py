"""The fleet page and the page of a problem, inside Airflow behind its login: whoever may see a problem's DAGs sees it."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from retraining import problems, running
from retraining.running import Link, Now

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse, Response

    from ml.overview import Detail, Glance, Night, Point

KINDS = ("retrain", "promote", "deploy", "monitor")  # DAGs whose runs the pages tell of
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
PREFIX = "/evergreen"
ACTIONS = {"retrain": "Retrain", "promote": "Promote", "deploy": "Deploy", "rollback": "Roll back"}


def add(app: "FastAPI") -> None:
    """The two pages, and the plots that one of them shows."""
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, HTTPException, Request
    from fastapi.responses import HTMLResponse, Response

    def may_see(request: Request, user: Any = Depends(get_user)) -> None:  # noqa: B008 - FastAPI's way
        demand_sight(request.path_params["problem"], user)

    @app.get("/")
    def show_fleet(request: Request, user: Any = Depends(get_user)) -> HTMLResponse:  # noqa: B008
        """Every problem that this person may see."""
        names = seen_by(user)
        if not names and problems.names():
            raise HTTPException(403, "You may not see the runs of any problem.")
        return fleet_page(names, base_of(request))

    @app.get("/{problem}", dependencies=[Depends(may_see)])
    def show_problem(problem: str, request: Request) -> HTMLResponse:
        """One problem."""
        return problem_page(problem, base_of(request))

    @app.get("/{problem}/runs/{run_key}/plots/{name}", dependencies=[Depends(may_see)])
    def show_plot(problem: str, run_key: str, name: str) -> Response:
        """One plot of an evaluation."""
        return plot(problem, run_key, name)


def seen_by(user: Any) -> list[str]:
    """Problems whose DAGs this person may see, broken files among them."""
    return [name for name in problems.names() if may(user, "GET", [f"{kind}_{name}" for kind in KINDS])]


def may(user: Any, method: Any, dag_ids: Sequence[str]) -> bool:
    """Whether a person may do that with runs of all these DAGs."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails

    manager = get_auth_manager()
    return all(
        manager.is_authorized_dag(method=method, access_entity=DagAccessEntity.RUN, details=DagDetails(id=one), user=user)
        for one in dag_ids
    )


def demand_sight(problem: str, user: Any) -> None:
    """Raises: HTTPException: 404 for a problem that there is not, 403 for who may not see all DAGs that its page tells of."""
    from fastapi import HTTPException

    if problem not in {one.name for one in problems.readable()}:
        raise HTTPException(404)
    if not may(user, "GET", [f"{kind}_{problem}" for kind in KINDS]):
        raise HTTPException(403, f"You may not see the runs of {problem}.")


def base_of(request: Any) -> str:
    """What stands before every path of this Airflow, where it does not live at the root of its host."""
    return str(request.scope.get("root_path", "")).removesuffix(PREFIX)


def page(template: str, **values: Any) -> "HTMLResponse":
    """A page that runs our script alone and may stand in Airflow's own frame, in nobody else's."""
    from fastapi.responses import HTMLResponse

    from ml import pages

    nonce = secrets.token_urlsafe(16)
    content = pages.render(template, nonce=nonce, **values)
    return HTMLResponse(content, headers=HEADERS | {"Content-Security-Policy": POLICY.format(nonce=nonce)})


def fleet_page(names: Sequence[str], base: str) -> "HTMLResponse":
    """Every one of these problems in a card."""
    from ml import overview, settings

    found = overview.fleet(settings.read(), names)
    going = running.now([f"{kind}_{name}" for name in names for kind in KINDS], base)
    shown = [card(one, going, "" if one.trouble else f"{base}{PREFIX}/{one.name}") for one in found]
    return page("fleet", shown=shown, summary=summary(found, going))


def card(glance: "Glance", going: Now, href: str) -> SimpleNamespace:
    """A problem as both pages show it: figures in words, what runs, what waits."""
    from ml.pages import spark

    dags, values = [f"{kind}_{glance.name}" for kind in KINDS], [point.value for point in glance.quality]
    live = next((value for value in reversed(values) if value is not None), None)
    limit = next((point.limit for point in reversed(glance.quality) if point.limit is not None), None)
    return SimpleNamespace(
        glance=glance,
        href=href,
        age=_age(glance),
        live=live,
        spark=spark.line(values, limit=limit, says=_says(glance.metric, glance.quality), size=(110, 28)),
        drift={"drift": "Yes", "no drift": "No"}.get(glance.drift, "Not known"),
        moved=_moved(glance.quality),
        minutes=f"{glance.minutes:.1f} min" + (f" of {glance.budget:g}" if glance.budget else ""),
        bytes=f"{size(glance.num_bytes)} kept",
        running=[link for name in dags for link in going.running[name]],
        questions=[link for name in dags for link in going.questions[name]] or _unasked(glance),
    )


def _unasked(glance: "Glance") -> list[Link]:
    """A question that waits by the ledger, while Airflow knows of none: the run that asks has yet to start, or was removed."""
    return [Link(f"version {one.version} waits for approval", f"/dags/promote_{glance.name}", "_top") for one in glance.waiting]


def summary(found: Sequence["Glance"], going: Now) -> str:
    """What needs somebody, in a line."""
    asked = sum(bool(one.waiting) for one in found)
    told = [f"{len(found)} {'problem' if len(found) == 1 else 'problems'}"]
    for count, says in (
        (asked, "waiting for an answer"),
        (sum(one.drift == "drift" for one in found), "with drift"),
        (sum(bool(one.trouble) for one in found), "not available"),
        (sum(map(len, going.running.values())), "running now"),
    ):
        told += [f"{count} {says}"] if count else []
    return ", ".join(told)


def problem_page(problem: str, base: str) -> "HTMLResponse":
    """One problem, whole."""
    from ml import context, overview
    from ml.errors import EvergreenError
    from ml.pages import spark

    try:
        run = context.open_run(problem, "overview")
        detail = overview.detail(run)
        states, to_run = running.tasks(f"retrain_{problem}", detail.brief.run_key, base)
        brief = overview.brief(run, states=states)
    except EvergreenError as error:
        return _unavailable(problem, str(error), base)
    here, glance = f"{base}{PREFIX}/{problem}", detail.glance
    values, limits = [point.value for point in glance.quality], [point.limit for point in glance.quality if point.limit]
    says = _says(glance.metric, glance.quality)
    return page(
        "problem",
        detail=SimpleNamespace(**vars(detail) | {"brief": brief}),
        one=card(glance, running.now([f"{kind}_{problem}" for kind in KINDS], base), here),
        all=f"{base}{PREFIX}/",
        buttons=[Link(says, f"{here}/ask/{name}") for name, says in ACTIONS.items()],
        links=_more(problem, run, base),
        of_night=_of_night(problem, detail, to_run, here),
        chart=spark.line(values, limit=limits[-1] if limits else None, says=says, size=(720, 130)),
        days=[SimpleNamespace(point=one, href=f"{here}/runs/{one.run_key}/dossier.html") for one in glance.quality[::-1]],
        plots=[Link(name.replace("_", " "), f"{here}/runs/{_judged_in(detail)}/plots/{name}.png") for name in detail.plots],
        when=when,
        size=size,
        ended=ended,
    )


def _unavailable(problem: str, why: str, base: str) -> "HTMLResponse":
    from ml.overview import Glance

    lost = card(Glance(problem, problem, trouble=why), Now(_none(problem), _none(problem)), "")
    return page("fleet", shown=[lost], summary="")


def _none(problem: str) -> dict[str, list[Link]]:
    return {f"{kind}_{problem}": [] for kind in KINDS}


def _judged_in(detail: "Detail") -> str:
    return detail.glance.champion.run_key if detail.glance.champion else ""


def _more(problem: str, run: Any, base: str) -> list[Link]:
    here = f"{base}{PREFIX}/{problem}"
    return [
        Link("Monitoring over time", f"{here}/monitor/index.html"),
        Link("Label rows", f"{here}/labels"),
        Link("Backtest", f"{base}/dags/backtest_{problem}", "_top"),
        Link("Models in MLflow", run.registry.model_url(problem), "_blank"),
        Link("DAGs", f"{base}/dags?tags={quote(problem)}", "_top"),
    ]


def _of_night(problem: str, detail: "Detail", to_run: Link | None, here: str) -> list[Link]:
    night = f"{here}/runs/{detail.brief.run_key}"
    pages = [Link("Validation report", f"{night}/validation.html"), Link("Data report", f"{night}/data.html")]
    return [*([to_run] if to_run else []), *pages]


def plot(problem: str, run_key: str, name: str) -> "Response":
    """One plot as the evaluation drew it.

    Raises: HTTPException: 404 when there is none of that name.
    """
    from fastapi import HTTPException
    from fastapi.responses import Response

    from ml import context
    from ml.errors import ConfigError
    from ml.snapshot import PLOTS

    try:
        run = context.open_run(problem, run_key)
    except ConfigError as error:
        raise HTTPException(404) from error
    stored = run.name(f"{PLOTS}/{name}")
    if not name.removesuffix(".png").replace("_", "").replace("-", "").isalnum() or not run.store.exists(stored):
        raise HTTPException(404)
    return Response(run.store.read(stored), media_type="image/png", headers=HEADERS)


def when(moment: datetime) -> str:
    """A moment as the pages write it."""
    return f"{moment:%Y-%m-%d %H:%M}"


def ended(night: "Night") -> str:
    """How a night ended, for people."""
    said = {
        "promote": "may be promoted", "reject": "refused", "skipped": "no training needed", "": "not known",
    }  # fmt: skip
    word = said.get(night.ended, night.ended if night.ended == "not assessable" else f"stopped after {night.ended}")
    return word + (" (dry run)" if night.dry_run else "")


def size(num_bytes: int) -> str:
    """Bytes in a unit that fits."""
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= of:
            return f"{num_bytes / of:.3g} {unit}"
    return f"{num_bytes} B"


def _age(glance: "Glance") -> str:
    if glance.champion is None or glance.champion.since is None:
        return "the first night makes one" if glance.champion is None else ""
    days = glance.age_days or 0
    return f"since {glance.champion.since:%Y-%m-%d}, " + ("today" if days == 0 else f"{days} day{'s' if days > 1 else ''}")


def _moved(quality: Sequence["Point"]) -> str:
    if not quality:
        return "no day was judged yet"
    newest = quality[-1]
    moved = ", ".join(newest.subjects[:3]) if newest.drift == "drift" else ""
    return f"{moved}, {newest.day}" if moved else f"on {newest.day}"


def _says(metric: str, quality: Sequence["Point"]) -> str:
    known = [point for point in quality if point.value is not None]
    if not known:
        return f"{metric}: no value is known yet"
    first, last = known[0], known[-1]
    return f"{metric} from {first.value:.3f} on {first.day} to {last.value:.3f} on {last.day}"
