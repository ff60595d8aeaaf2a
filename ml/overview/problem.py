"""One problem on a page: versions, nights, days, decisions, and what the champion was judged on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ml.card.words import in_words
from ml.context import Context
from ml.errors import TransientError
from ml.ledger import Champion, Entry
from ml.overview import timeline
from ml.overview.brief import Brief, explain
from ml.overview.fleet import Glance, glance
from ml.overview.nights import ENTRIES, MOST, record
from ml.overview.timeline import Event
from ml.records import Evaluated, Verdict
from ml.snapshot import PLOTS

VERSIONS = 20  # that the page lists
EVENTS = 60


@dataclass(frozen=True)
class Version:
    """One version of the model. `verdict`: of its run, as the ledger has it; `since`: when it became champion last."""

    version: int
    run_key: str
    made: datetime | None
    verdict: str
    since: datetime | None
    is_champion: bool
    was_champion: bool
    url: str


@dataclass(frozen=True)
class Detail:
    """One problem, whole. `mlflow`: why MLflow said nothing; versions are then those of the ledger.

    Attributes:
        earlier: champions that one can go back to, the newest first.
        promotable: versions that may be asked for by hand: their verdict says promote, and they are not champion.
        judged: the champion's evaluation in a paragraph; plots: names of its plots, which lie in the folder of its run.
    """

    glance: Glance
    brief: Brief
    versions: tuple[Version, ...]
    earlier: tuple[int, ...]
    promotable: tuple[int, ...]
    events: tuple[Event, ...]
    judged: str
    rules: tuple[str, ...]
    plots: tuple[str, ...]
    mlflow: str


def detail(context: Context, *, states: Mapping[str, str] | None = None) -> Detail:
    """Everything that the page of a problem shows; bounded, however long the problem has been there.

    Args:
        states: what the orchestrator says of the tasks of the newest night, see `brief`.
    Raises: TransientError: the database or the store is away.
    """
    ledger, name = context.ledger, context.problem.name
    entries, standing = ledger.recent(name, ENTRIES), ledger.succession(name)
    shown = glance(context, entries, standing[-1] if standing else None, MOST)
    known, mlflow = versions(context, entries, standing)
    judged, rules, plots = _judged(context, standing[-1] if standing else None)
    return Detail(
        glance=shown,
        brief=explain(context, entries, shown.quality, states or {}, ""),
        versions=tuple(known),
        earlier=tuple(dict.fromkeys(one.version for one in standing[-2::-1])) if standing else (),
        promotable=tuple(one.version for one in known if one.verdict == "promote" and not one.is_champion),
        events=tuple(timeline.events(entries, EVENTS)),
        judged=judged,
        rules=rules,
        plots=plots,
        mlflow=mlflow,
    )


def versions(context: Context, entries: Sequence[Entry], standing: Sequence[Champion]) -> tuple[list[Version], str]:
    """The newest versions, newest first, and why MLflow was not heard, if it was not."""
    try:
        found = context.registry.newest(context.problem.name, VERSIONS)
        said = ""
    except TransientError as error:
        found, said = [], str(error)
    made = {
        int(one["version"]): (
            {tag["key"]: tag["value"] for tag in one.get("tags", ())}.get("run_key", ""),
            datetime.fromtimestamp(int(one["creation_timestamp"]) / 1000, UTC) if one.get("creation_timestamp") else None,
        )
        for one in found
    }
    moves = {one.version: one for one in entries if one.kind in ("promote", "rollback") and one.version is not None}
    for version, move in moves.items():
        made.setdefault(version, (str(move.run_key), None))
    for champion in standing[-1:]:
        made.setdefault(champion.version, (champion.run_key, None))
    verdicts = {str(one.run_key): str(one.body["verdict"]["decision"]) for one in entries if one.kind == "verdict"}
    now = standing[-1].version if standing else None
    return [
        Version(
            version=version,
            run_key=run_key,
            made=at,
            verdict=verdicts.get(run_key, ""),
            since=moves[version].at if version in moves else None,
            is_champion=version == now,
            was_champion=version in moves and version != now,
            url=context.registry.version_url(context.problem.name, version),
        )
        for version, (run_key, at) in sorted(made.items(), reverse=True)[:VERSIONS]
    ], said


def _judged(context: Context, champion: Champion | None) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The champion's evaluation in words, the rules it kept, and its plots; nothing where its run is gone."""
    if champion is None:
        return "", (), ()
    run = context.of_run(champion.run_key)
    evaluated, verdict = record(run, Evaluated), record(run, Verdict)
    names = [name.rpartition("/")[2] for name in run.store.names(run.name(PLOTS))]
    plots = tuple(name.removesuffix(".png") for name in names if name.endswith(".png"))
    rules = tuple(rule.sentence for rule in verdict.rules) if verdict else ()
    return in_words(context.problem, evaluated) if evaluated else "", rules, plots
