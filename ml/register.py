"""Stage 7: every run is to be seen in MLflow, and a candidate whose verdict says promote becomes a version there."""

import hashlib
import json
import logging
import subprocess
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from ml import card, marks, snapshot
from ml.context import Context
from ml.ledger import Entry, Ledger
from ml.pages import validation
from ml.records import Evaluated, Ingested, Interval, Prepared, Registered, Rehearsed, Scores, Trained, Validated, Verdict
from ml.registry import Candidate, Data, Run
from ml.snapshot import CURVES, HISTORY, PLOTS, REPORT

log = logging.getLogger(__name__)
CARD, WHOLE = "card.md", 100_000  # the whole card, in a file; on MLflow's pages stands what fits
FILES = (
    REPORT,
    "ingest.json",
    "validate.json",
    "prepare.json",
    "train.json",
    HISTORY,
    CURVES,
    "evaluate.json",
    "rehearse.json",
    "gate.json",
    CARD,
    PLOTS,
)
TOOLS = ("keras", "mlflow", "numpy", "pyarrow", "tensorflow")


def run(context: Context) -> Registered:
    """Write the verdict to the ledger and the run to MLflow; register the model when the verdict says promote.

    With [gate] approval = "auto" the promotion is then due, with "manual" a person's answer. A dry run registers nothing.

    Raises:
        DataError: the model on disk is not the one that was trained, or does not answer alike through MLflow.
        TransientError: MLflow or the database is away. ConfigError: one of them refuses us.
    """
    verdict, trained = context.record(Verdict), context.record(Trained)
    inputs = [verdict.model_dump(mode="json"), trained.model_digest, context.dry_run]
    registered = context.once(Registered, inputs, lambda: _register(context, verdict, trained))
    prepared = context.record(Prepared)
    marks.mark_learned(context, context.record(Ingested).version, prepared.valid_version, prepared.labels_version)
    return registered


def _register(context: Context, verdict: Verdict, trained: Trained) -> Registered:
    problem, ledger, registry = context.problem, context.ledger, context.registry
    model = snapshot.model_of(context.store, context.run_key, trained.model_digest)
    entry = write_verdict(context, ledger, verdict, trained)
    facts, tags = _facts(context, verdict, trained), _tags(context, verdict)
    context.store.write(context.name(CARD), card.render(facts, room=WHOLE).encode())
    _write_report(context)
    run_id = registry.log_run(problem.name, _as_run(context, card.render(facts), tags))
    if verdict.decision != "promote" or verdict.dry_run or context.dry_run:
        log.info("register: no version, %s%s", verdict.sentence, " (dry run)" if context.dry_run else "")
        return _record(tags, None, run_id, registry.run_url(problem.name, run_id))
    links = {"plots and files in MLflow": registry.run_url(problem.name, run_id), **facts.links}
    text = card.render(replace(facts, links=links, pictures=_pictures(context, run_id)))
    candidate = Candidate(context.run_key, model, trained.model_digest, text, tags)
    version = registry.create_version(problem, run_id, candidate)
    due = {"version": version, "run_key": context.run_key, "model_digest": trained.model_digest}
    due |= {"expected": verdict.champion_version}
    if problem.gate.approval == "auto":
        ledger.ask(problem.name, "promote", entry.key, due)
    elif ledger.ask(problem.name, "approve", entry.key, due | {"verdict_digest": entry.body["digest"]}):
        registry.tag_version(problem.name, version, {"approval": f"waits for a person, in promote_{problem.name}"})
    log.info("register: version %d, %s", version, verdict.sentence)
    return _record(tags, version, run_id, registry.version_url(problem.name, version))


def _record(tags: dict[str, str], version: int | None, run_id: str, url: str) -> Registered:
    """What came out; code and problem file stand here too, so that they can be told while MLflow is away."""
    made_by = {name: tags[name] for name in ("code_version", "problem_digest")}
    return Registered(version=version, mlflow_run_id=run_id, url=url, made_by=made_by)


def write_verdict(context: Context, ledger: Ledger, verdict: Verdict, trained: Trained) -> Entry:
    """One entry per verdict; a run that is judged again, on other data or against another champion, gets another entry."""
    content = verdict.model_dump_json() + trained.model_digest
    body = {
        "verdict": verdict.model_dump(mode="json"),
        "model_digest": trained.model_digest,
        "digest": hashlib.sha256(content.encode()).hexdigest(),
    }
    entries = ledger.entries(context.problem.name)
    earlier = [entry for entry in entries if entry.kind == "verdict" and entry.run_key == context.run_key]
    if earlier and earlier[-1].body["digest"] == body["digest"]:
        return earlier[-1]
    key = context.run_key if not earlier else f"{context.run_key}#{len(earlier) + 1}"
    actor = f"retrain:{context.reason}"
    return ledger.append(context.problem.name, "verdict", key=key, actor=actor, run_key=context.run_key, body=body)


def _facts(context: Context, verdict: Verdict, trained: Trained) -> card.Facts:
    prepared, evaluated = context.record(Prepared), context.record(Evaluated)
    rehearsed = context.record(Rehearsed) if context.has(Rehearsed) else None
    facts = card.Facts(context.problem, context.run_key, prepared, trained, evaluated, verdict, dict(context.pages))
    return replace(facts, rehearsed=rehearsed)


def _pictures(context: Context, run_id: str) -> dict[str, str]:
    """Where the run's plots are, seen from a page of the same MLflow, under whatever name people reach it."""
    plots = sorted(context.file(PLOTS).glob("*.png")) if context.store.exists(context.name(PLOTS)) else []
    return {plot.stem: f"get-artifact?path={PLOTS}%2F{plot.name}&run_uuid={run_id}" for plot in plots}


def _write_report(context: Context) -> None:
    """The validation report as it may stand in MLflow."""
    content = context.store.read_json(context.name("validation.json"))
    context.store.write(context.name(REPORT), validation.page(content, context.problem, values=False).encode())


def _as_run(context: Context, text: str, tags: dict[str, str]) -> Run:
    prepared, trained, evaluated = context.record(Prepared), context.record(Trained), context.record(Evaluated)
    problem = context.problem
    profile = {part: getattr(prepared, part).num_rows for part in snapshot.PARTS}
    return Run(
        run_key=context.run_key,
        at=context.settings.now(),
        seconds=trained.seconds,
        data=Data(
            name=f"{problem.name}.valid@{prepared.valid_version}",
            digest=prepared.rows_digest,
            source=context.table("valid").location,
            profile=json.dumps(profile),
        ),
        card=text,
        params=_params(context),
        metrics=_metrics(evaluated, trained) | _rehearsed_metrics(context),
        history={f"epoch/{name}": values for name, values in snapshot.history_of(context).items()},
        tags=tags,
        files=[context.file(name) for name in FILES if context.store.exists(context.name(name))],
    )


def _params(context: Context) -> dict[str, Any]:
    problem = context.problem
    sections = {"training": problem.training, "split": problem.split, "success": problem.success, "gate": problem.gate}
    values = {f"{name}.{key}": value for name, section in sections.items() for key, value in section.model_dump().items()}
    values |= {f"training.{key}": value for key, value in context.record(Trained).training.items()}  # also what a search chose
    return values | {"features": ", ".join(problem.features)}


def _metrics(evaluated: Evaluated, trained: Trained) -> dict[str, float]:
    """Values with their intervals, per model; what cannot be known is left out."""
    models: dict[str, Scores | None] = {
        "candidate": evaluated.candidate,
        "champion": evaluated.champion,
        **evaluated.baselines,
    }
    intervals: dict[str, Interval | None] = {
        f"{model}/{name}": interval for model, scores in models.items() if scores for name, interval in scores.metrics.items()
    }
    intervals["gain_over_champion"] = evaluated.gain_over_champion
    intervals |= {f"gain_over_{name}": gain for name, gain in evaluated.gains_over.items()}
    found = {name: interval.value for name, interval in intervals.items() if interval}
    for name, interval in intervals.items():
        found |= {f"{name}/low": interval.low, f"{name}/high": interval.high} if interval else {}
    if trained.epsilon is not None and trained.delta is not None:
        found |= {"privacy_epsilon": trained.epsilon, "privacy_delta": trained.delta}
    if (judged := trained.protocol) is not None:
        found |= {f"validation/{judged.metric}": judged.value}
        found |= {"validation/deviation": judged.deviation} if judged.deviation is not None else {}
    return found | {
        "calibration_error": evaluated.calibration_error,
        "threshold": evaluated.threshold,
        "validation_loss": trained.validation_loss,
        "num_test_rows": evaluated.num_rows,
        "num_parameters": trained.num_parameters,
    }


def _rehearsed_metrics(context: Context) -> dict[str, float]:
    """Speed, memory and what the training took, beside the champion's."""
    found = context.record(Rehearsed) if context.has(Rehearsed) else None
    if found is None:
        return {}
    told = {"candidate": found.candidate.model_dump(exclude={"core"}), "champion": {}}
    told["champion"] |= found.champion.model_dump(exclude={"core"}) if found.champion else {}
    for who, one in (("candidate", found.training.candidate), ("champion", found.training.champion)) if found.training else ():
        told[who] |= {f"training_{name}": value for name, value in one.model_dump(exclude={"machine"}).items()} if one else {}
    return {f"{who}/{name}": value for who, values in told.items() for name, value in values.items() if value is not None}


def _tags(context: Context, verdict: Verdict) -> dict[str, str]:
    """What ties run and version to verdict, rows, model, code and tools."""
    prepared, trained = context.record(Prepared), context.record(Trained)
    rules = hashlib.sha256(context.problem.model_dump_json().encode()).hexdigest()
    validated = context.record(Validated)
    return {
        "validation": f"{validated.num_valid:,} of {validated.num_ingested:,} rows valid; see the artifact validation.html",
        "verdict": verdict.decision,
        "verdict_reason": verdict.sentence,
        "reason": context.reason,
        "window": f"{prepared.train.first} to {prepared.test.last}",
        "raw_version": str(context.record(Ingested).version),
        "data_version": str(prepared.valid_version),
        "rows_digest": prepared.rows_digest,
        "model_digest": trained.model_digest,
        "problem_digest": rules,
        "code_version": code_version(Path(__file__).resolve().parent),
        "tools": ", ".join(f"{name} {installed(name)}" for name in TOOLS),
    }


def code_version(folder: Path) -> str:
    """The git commit the code is at, marked when files differ from it; outside a checkout a digest over the files."""
    tracked, _ = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    known, commit = _git(folder, "rev-parse", "HEAD")
    if tracked and known:
        clean, changes = _git(folder, "status", "--porcelain", "--", ".")
        return f"git:{commit}" + ("+changes" if changes or not clean else "")
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return f"files:{total.hexdigest()}"


def _git(folder: Path, *arguments: str) -> tuple[bool, str]:
    """Whether git could answer, and what; without git, or outside a checkout, it could not."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=30)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False, ""
    return done.returncode == 0, done.stdout.strip()
