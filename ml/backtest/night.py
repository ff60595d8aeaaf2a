"""One night under one policy: the stages as production runs them, then the champion answers until the next night."""

import logging
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from ml import decide, evaluate, gate, marks, monitor, prepare, register, requests, snapshot, targets
from ml.backtest import history, shared, world
from ml.backtest.timeline import Night
from ml.backtest.world import World
from ml.context import Context
from ml.decide.known import DRIFT
from ml.errors import DataError
from ml.ledger import Champion
from ml.records import Ingested, Prepared, Trained, Verdict
from ml.scoring import Scorer
from ml.snapshot import CURVES, ENCODED, PLOTS
from ml.tables import DAY

log = logging.getLogger(__name__)
WATCHING = ("drift", "performance", "evergreen")  # policies that look at what the monitor finds
BULKY = (ENCODED, PLOTS, CURVES)  # of a run, once it is judged


class Played(BaseModel):
    """How a night went."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    night: str
    rule: str
    why: str
    trained: bool = False
    promoted: bool = False
    failed: str = ""
    verdict: str = ""
    train_seconds: float = 0.0
    decide_seconds: float = 0.0
    night_seconds: float = 0.0
    asked: tuple[str, ...] = ()  # retrains that the monitor wants, by key
    before: str | None = None  # run of the champion that the candidate met
    num_rows: int = 0
    answered_by: int | None = None

    @property
    def alarmed(self) -> bool:
        """Whether drift asked for a training, or brought one."""
        return bool(self.asked) or self.rule == "drift"


def play(at: World, night: Night) -> Played:
    """Live through a night; killed anywhere and called again, it ends in the same state.

    Raises: TransientError: a training was killed or stood still. ConfigError: the problem file is wrong.
    """
    began, context = time.monotonic(), at.dawn(night)
    if at.policy in WATCHING:
        monitor.run(at.context(_morning(night)))
    name, decided = at.problem.name, decide.run(context)
    said = {"rule": decided.rule, "why": decided.why, "trained": decided.train, "decide_seconds": decided.seconds}
    told = Played(night=night.name, **said, **_stood(context, night))
    if decided.train:
        told = told.model_copy(update=_learn(at, context))
        for work in () if told.failed else context.ledger.due(name, "retrain"):
            context.ledger.done(work, f"{context.run_key}: {told.verdict}")
    told = told.model_copy(update=serve(at, night) | {"night_seconds": round(time.monotonic() - began, 2)})
    world.write(at.record(night), told.model_dump_json())
    _tidy(context, keep=told.promoted or told.alarmed)  # whether an alarm was false is found out with the refused model
    return told


def _stood(context: Context, night: Night) -> dict[str, Any]:
    """The retrains that were asked for this morning, and the champion before this night, whether it was cut short or not."""
    entries = context.ledger.entries(context.problem.name)
    asked = [entry.key for entry in entries if entry.kind == DRIFT and entry.run_key == _morning(night)]
    before = [move.run_key for move in context.ledger.moves(context.problem.name) if move.run_key != context.run_key]
    return {"asked": tuple(asked), "before": before[-1] if before else None}


def _morning(night: Night) -> str:
    return f"morning-{night.name}"


def _learn(at: World, context: Context) -> dict[str, object]:
    """Train, judge and, where the gate lets it through, promote; a night that fails leaves the champion as it was."""
    try:
        prepare.run(context)
        trained = shared.trained(context, at.shared)
        evaluate.run(context)
    except DataError as error:
        log.warning("backtest %s, %s failed: %s", at.policy, context.run_key, error)
        return {"failed": str(error)}
    verdict = gate.run(context)
    register.write_verdict(context, context.ledger, verdict, trained)
    marks.mark_learned(context, context.record(Ingested).version, context.record(Prepared).valid_version)
    promoted = verdict.decision == "promote"
    if promoted:
        _promote(context, verdict, trained)
    return {"promoted": promoted, "verdict": verdict.sentence, "train_seconds": trained.seconds}


def _promote(context: Context, verdict: Verdict, trained: Trained) -> None:
    """The move that `promote` would make; nobody else moves anything here, and there is no registry to follow."""
    name, ledger = context.problem.name, context.ledger
    to = Champion(len(ledger.moves(name)) + 1, context.run_key, trained.model_digest)
    ledger.move(name, to=to, expected=verdict.champion_version, kind="promote", key=context.run_key, actor="backtest")


def serve(at: World, night: Night) -> dict[str, object]:
    """Let the champion answer what was asked until the next night; what it answered is the request log, and is kept with the
    label that came in the end, for those who judge afterwards.
    """
    rows = history.asked_between(at.past, night.at, night.until)
    context = at.context(f"night-{night.name}")
    champion = context.ledger.champion(at.problem.name)
    if champion is None:
        return {"num_rows": 0, "answered_by": None}
    scorer = Scorer.load(snapshot.model_of(context.store, champion.run_key, champion.model_digest))
    scores = scorer.score(rows)
    labels = targets.column(rows, at.problem)
    key = rows[at.problem.source.key].cast(pa.string())
    columns = {"key": key, DAY: rows[DAY].cast(pa.string()), "label": labels, "score": pa.array(scores.tolist())}
    pq.write_table(pa.table(columns).filter(targets.known(rows, at.problem)), at.answers(night), compression="zstd")
    batch = _logged(rows, scorer.answers(scores), at, (champion.version, night.name))
    requests.append_batch(at.settings.database_url, at.problem.name, night.name, batch)
    return {"num_rows": rows.num_rows, "answered_by": champion.version}


def _logged(rows: pa.Table, answers: list[dict[str, object]], at: World, by: tuple[int, str]) -> pa.Table:
    """Answered rows as the request log keeps them, one request a night."""
    version, night = by
    size = rows.num_rows
    texts = requests.texts(rows.select(list(at.problem.features)))
    held = {
        "request_id": [f"night-{night}"] * size,
        "position": range(size),
        "version": [version] * size,
        "served_at": rows[history.ASKED],
        "key": rows[at.problem.source.key].cast(pa.string()),
        "score": [answer["score"] for answer in answers],
        "decision": [one if isinstance(one := answer["decision"], bool) else None for answer in answers],
        "several": [requests.several_of(answer) for answer in answers],
        "row": texts,
        "arm": ["champion"] * size,
    }
    return pa.table(
        {
            name: column if isinstance(column, pa.ChunkedArray) else pa.array(column, requests.SCHEMA.field(name).type)
            for name, column in held.items()
        }
    )


def _tidy(context: Context, *, keep: bool) -> None:
    """Remove what nobody reads again: of a judged run what only training needed, of a refused one all but its records."""
    folder = Path(context.store.location(context.folder))
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name in BULKY or (not keep and path.suffix != ".json"):
            context.store.delete(context.name(path.name))
