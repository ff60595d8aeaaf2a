"""Forms that start a run, filled in beforehand, with the versions there are to choose from.

Airflow 3.3 opens no trigger form by an address, and the fields of its own forms are fixed when a DAG file is parsed. These have
the same fields, say the same, and start the run as Airflow does: its rights, its checks of every value, in the person's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from retraining import forms, labelling, overview, problems, running
from retraining.running import Link

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse, Response

    from ml.overview import Detail

MOST_BYTES = 20_000


@dataclass(frozen=True)
class Ask:
    """One form: the DAG that it starts, its fields, and what is set without being asked."""

    title: str
    kind: str
    says: str
    fields: tuple[str, ...]
    given: Mapping[str, Any]


ASKS = {
    "retrain": Ask(
        "Retrain", "retrain", "Read new rows, train, and judge a candidate.", ("window", "reason", "tune", "dry_run"), {}
    ),
    "promote": Ask("Promote", "promote", "Make a version the champion, if its verdict allows it.", ("version", "comment"), {}),
    "deploy": Ask("Deploy", "deploy", "Bring the champion into service, or steer its rollout.", ("mode", "order", "comment"), {}),
    "rollback": Ask("Roll back", "deploy", "Make an earlier champion serve again.", ("version", "comment"), {"order": "back"}),
}


@dataclass(frozen=True)
class Field:
    """One field as the page shows it; `choices`: value and what it says."""

    name: str
    title: str
    help: str
    kind: str
    value: Any
    choices: tuple[tuple[str, str], ...] = ()
    pattern: str = ""
    longest: int | None = None


def add(app: "FastAPI") -> None:
    """The forms, and what their buttons send."""
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, HTTPException, Request
    from fastapi.responses import HTMLResponse, Response

    def may_start(request: Request, user: Any = Depends(get_user)) -> None:  # noqa: B008 - FastAPI's way
        demand_start(request.path_params["problem"], request.path_params["what"], user)
        if request.method == "POST":
            labelling.demand_own_page(request)

    @app.get("/{problem}/ask/{what}", dependencies=[Depends(may_start)])
    def show_form(problem: str, what: str, request: Request) -> HTMLResponse:
        """The form, filled in with what the address says."""
        return form(problem, what, dict(request.query_params), overview.base_of(request))

    @app.post("/{problem}/ask/{what}", dependencies=[Depends(may_start)])
    async def send_form(problem: str, what: str, request: Request, user: Any = Depends(get_user)) -> Response:  # noqa: B008
        """Start the run, and show it; or the form again, with what is wrong."""
        from starlette.concurrency import run_in_threadpool

        body = await request.body()
        if len(body) > MOST_BYTES:
            raise HTTPException(413)
        told = {name: values[-1] for name, values in parse_qs(body.decode(errors="replace")).items()}
        return await run_in_threadpool(start, problem, what, told, (user.get_name(), overview.base_of(request)))


def demand_start(problem: str, what: str, user: Any) -> None:
    """Raises: HTTPException: 404 for what there is not, 403 for who may not see the problem and start runs of the DAG."""
    from fastapi import HTTPException

    if what not in ASKS:
        raise HTTPException(404)
    overview.demand_sight(problem, user)
    if not overview.may(user, "POST", [f"{ASKS[what].kind}_{problem}"]):
        raise HTTPException(403, f"You may not start runs of {ASKS[what].kind}_{problem}.")


def form(problem: str, what: str, told: Mapping[str, str], base: str, wrong: str = "") -> "HTMLResponse":
    """The form with the versions there are now."""
    ask, here = ASKS[what], f"{base}{overview.PREFIX}/{problem}"
    dag_id = f"{ask.kind}_{problem}"
    about = next(one for one in problems.readable() if one.name == problem)
    return overview.page(
        "ask",
        title=ask.title,
        says=ask.says,
        about=about,
        fields=[replace(one, value=told.get(one.name, one.value)) for one in fields(problem, what)],
        dag=Link(dag_id, f"{base}/dags/{dag_id}"),
        all=f"{base}{overview.PREFIX}/",
        back=here,
        here=f"{here}/ask/{what}",
        paused=running.is_paused(dag_id),
        wrong=wrong,
    )


def fields(problem: str, what: str) -> list[Field]:
    """The fields of the DAG's own form that belong here, the version as a choice."""
    ask, params = ASKS[what], getattr(forms, ASKS[what].kind)()
    found = [_field(name, params[name]) for name in ask.fields]
    if "version" not in ask.fields:
        return found
    return [_version(one, what, problem) if one.name == "version" else one for one in found]


def _field(name: str, param: Any) -> Field:
    schema = param.schema
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    choices = tuple(("", "as the problem file says" if name == "mode" else "none") if one is None else (one, one)
                    for one in schema.get("enum", ()) if one != "back")  # fmt: skip
    value = param.value if kinds == ["boolean"] else ("" if param.value is None else str(param.value))
    return Field(
        name=name,
        title=schema["title"],
        help=_without_back(schema.get("description_md") or schema.get("description") or param.description or ""),
        kind=kinds[-1],
        value=value,
        choices=choices,
        pattern=schema.get("pattern", "").strip("^$"),
        longest=schema.get("maxLength"),
    )


def _without_back(text: str) -> str:
    """The way back has a form of its own here."""
    return text.partition(" **back**")[0] if " **back**: make" in text else text


def _version(field: Field, what: str, problem: str) -> Field:
    """The versions that can be asked for now, by ledger and registry; a bare number where they cannot be told."""
    from ml import context, overview
    from ml.errors import EvergreenError

    try:
        detail = overview.detail(context.open_run(problem, "overview"))
    except EvergreenError:
        return field
    if what == "rollback":
        choices = [("", "the champion before this one")] + [(str(one), f"version {one}") for one in detail.earlier]
        return replace(field, choices=tuple(choices), help="Which earlier champion serves again.")
    first = ("", "the newest one whose promotion is due")
    return replace(field, choices=(first, *((str(one), _told(detail, one)) for one in detail.promotable)))


def _told(detail: "Detail", version: int) -> str:
    made = next((one.made for one in detail.versions if one.version == version), None)
    return f"version {version}" + (f", made {made:%Y-%m-%d}" if made else "")


def start(problem: str, what: str, told: Mapping[str, str], by: tuple[str, str]) -> "Response":
    """Start a run as Airflow's own form does.

    Args:
        by: the person, and what stands before every path.
    """
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.exceptions import AirflowException
    from airflow.utils.types import DagRunTriggeredByType
    from fastapi.responses import RedirectResponse

    person, base = by
    try:
        conf = conf_of(what, told)
        run = trigger_dag(
            f"{ASKS[what].kind}_{problem}", triggered_by=DagRunTriggeredByType.UI, triggering_user_name=person, conf=conf
        )
    except (ValueError, AirflowException) as error:  # a value that the DAG's form would refuse too; a DAG that is not parsed yet
        answer = form(problem, what, told, base, wrong=str(error))
        answer.status_code = 422
        return answer
    started = quote(run.run_id, safe="") if run else ""
    return RedirectResponse(f"{base}{overview.PREFIX}/{problem}?started={started}", 303)


def conf_of(what: str, told: Mapping[str, str]) -> dict[str, Any]:
    """What the run is given: only what was filled in, so that the rest keeps the DAG's own defaults.

    Raises: ValueError: no number where one is asked for.
    """
    params, conf = getattr(forms, ASKS[what].kind)(), dict(ASKS[what].given)
    for name in ASKS[what].fields:
        field, text = _field(name, params[name]), told.get(name, "").strip()
        if field.kind == "boolean":
            conf[name] = text == "true"
        elif text:
            conf[name] = _number(field.title, text) if field.kind == "integer" else text
    return conf


def _number(title: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise ValueError(f"{title}: {text[:40]!r} is no version number. Choose one of the list.")
    return int(text)
