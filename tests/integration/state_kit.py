"""What tests of ledger, registry, register and promote share: a judged run in a store, with a tiny real model."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ml import settings
from ml.context import Context
from ml.problem import Problem
from ml.records import Evaluated, Ingested, Interval, Part, Prepared, Record, Rule, Scores, Trained, Validated, Verdict
from ml.store import digest

NOW = datetime(2013, 2, 1, 8, tzinfo=UTC)
NUMBERS = itertools.count(1)
FEATURES = {
    "carrier": {"type": "category"},
    "delay": {"type": "number"},
    "snow": {"type": "boolean"},
    "planned": {"type": "datetime"},
    "postcode": {"type": "zip"},
    "note": {"type": "text"},
}
ROWS: list[dict[str, Any]] = [
    {"carrier": "AA", "delay": 1.5, "snow": True, "planned": "2013-07-31T05:15:00-04:00", "postcode": "10001", "note": "hi"},
    {"carrier": None, "delay": None, "snow": None, "planned": None, "postcode": None, "note": None},
    {"carrier": "B6", "delay": 3.0, "snow": False, "planned": "2013-01-31T03:15:00+00:00", "postcode": "10", "note": ""},
]
Decision = Literal["promote", "reject", "not assessable"]


def make_problem(name: str, approval: str = "auto") -> Problem:
    return Problem.model_validate(
        {
            "problem": {
                "name": name, "title": "Will it be late?", "task": "binary", "owner": "tests",
                "positive": "late", "rows": "flights",
            },
            "source": {"table": "flights", "key": "id", "event_time": "planned_at", "label": "late", "label_time": "arrived"},
            "features": FEATURES,
            "leakage": {"arr_delay": "known after landing"},
            "gate": {"approval": approval},
        }
    )  # fmt: skip


def problem_of(task: str, **about: Any) -> Problem:
    """The same problem as another task."""
    plain = make_problem("late").model_dump()
    label = about.pop("label", "late")
    success = {"metric": {"multiclass": "log_loss", "multilabel": "auc"}.get(task, "mae")}
    changed = {
        "problem": plain["problem"] | {"task": task} | about,
        "source": plain["source"] | {"label": label},
        "success": success,
    }
    return Problem.model_validate(plain | changed | {"gate": {}})


def make_context(home: Path, database_url: str, mlflow_url: str, *, approval: str = "auto", problem: str = "") -> Context:
    """A run of a problem of its own, so that tests share servers and nothing else."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "clock").write_text(NOW.isoformat())
    values = {"STORE": home / "store", "DATABASE_URL": database_url, "MLFLOW_URL": mlflow_url, "CLOCK_FILE": home / "clock"}
    read = settings.read({f"EVERGREEN_{name}": str(value) for name, value in values.items()})
    return Context(make_problem(problem or f"late_{next(NUMBERS)}", approval), read, "night-1", "schedule")


def judged(context: Context, run_key: str = "", *, decision: Decision = "promote", champion: int | None = None) -> Context:
    """Write all that a run leaves behind up to its verdict; returns the context of that run."""
    context = replace(context, run_key=run_key or context.run_key)
    with context.store.replacing(context.name("model")) as folder:
        make_model(folder, context.run_key)
    part = Part(first=date(2013, 1, 1), last=date(2013, 1, 20), num_rows=800, positive_rate=0.24)
    window = {"start": date(2013, 1, 1), "end": date(2013, 2, 1)}
    records: list[Record] = [
        Ingested(**window, version=3, num_rows=900, num_rows_by_day={"2013-01-01": 900}, changed=True),
        Validated(**window, version=4, num_ingested=900, num_valid=900, num_quarantined=0, rules=()),
        Prepared(valid_version=4, num_unlabelled=7, train=part, validation=part, test=part, rows_digest="ab" * 32),
        Trained(
            model_digest=digest(context.file("model")), num_parameters=1234, epochs=2, best_epoch=1,
            validation_loss=0.5, export_difference=1e-7, seconds=12.5,
        ),
        make_evaluated(champion),
        make_verdict(decision, champion),
    ]  # fmt: skip
    for record in records:
        context.write(record)
    plain = {"run_key": context.run_key, "start": "2013-01-01", "end": "2013-02-01", "num_ingested": 900, "num_valid": 900}
    rest = {"num_quarantined": 0, "refused": "", "rules": [], "days": {}, "examples": []}
    context.store.write_json(context.name("validation.json"), plain | rest)
    context.store.write_json(context.name("history.json"), {"loss": [0.6, 0.5], "val_loss": [0.65, 0.55]})
    context.store.write(context.name("plots/roc.png"), b"\x89PNG\r\n\x1a\n")
    return context


def make_evaluated(champion: int | None = None, **changes: Any) -> Evaluated:
    def near(value: float) -> Interval:
        return Interval(value=value, low=value - 0.01, high=value + 0.01)

    def scores(auc: float) -> Scores:
        return Scores(
            metrics={"auc": near(auc), "log_loss": near(0.5)}, slices={"carrier=AA": near(auc), "carrier=B6": near(auc)}
        )

    values: dict[str, Any] = {
        "num_rows": 6440, "newest_label": date(2013, 1, 31), "positive_rate": 0.24, "candidate": scores(0.74),
        "baselines": {"prior": scores(0.5), "linear": scores(0.72), "boosting": scores(0.75)},
        "champion": scores(0.73) if champion else None, "champion_version": champion,
        "gain_over_champion": near(0.02) if champion else None,
        "gains_over": {"prior": near(0.24), "linear": near(0.02), "boosting": near(-0.01)},
        "slice_gains": {"carrier=AA": near(-0.01)} if champion else {}, "slice_rows": {"carrier=AA": 3000, "carrier=B6": 2500},
        "threshold": 0.3, "flips": 12, "calibration_error": 0.02, "days": 7,
        "confusion": {"true_positive": 847, "false_positive": 560, "true_negative": 4354, "false_negative": 679},
    }  # fmt: skip
    return Evaluated.model_validate(values | changes)


def make_verdict(decision: Decision = "promote", champion: int | None = None, *, dry_run: bool = False) -> Verdict:
    yes = decision == "promote"
    rule = Rule(rule="against baseline linear", value=0.01, limit=0.0, holds=yes, sentence="auc gain is too small")
    return Verdict(decision=decision, rules=(rule,), champion_version=champion, dry_run=dry_run)


def make_model(folder: Path, run_key: str) -> None:
    """A real SavedModel over all types of columns; each run key answers a little differently."""
    import tensorflow as tf

    from ml.scoring import Scorer

    kinds = {name: tf.float32 if kind["type"] in ("number", "boolean") else tf.string for name, kind in FEATURES.items()}
    own = tf.constant(sum(map(ord, run_key)) % 97 / 97, tf.float32)

    @tf.function(autograph=False)
    def serve(**raw: Any) -> dict[str, Any]:
        total = own
        for name, column in raw.items():
            if kinds[name] == tf.string:
                total += tf.cast(tf.strings.to_hash_bucket_fast(column, 97), tf.float32) / 97 - 0.5
            else:
                total += tf.where(tf.math.is_nan(column), -0.3, column / 10)
        return {"score": tf.sigmoid(total)}

    folder.mkdir(parents=True, exist_ok=True)
    signature = serve.get_concrete_function(**{name: tf.TensorSpec([None], kind, name) for name, kind in kinds.items()})
    tf.saved_model.save(tf.Module(), str(folder / "saved_model"), signatures={"serving_default": signature})
    about = {"problem": "late", "run_key": run_key, "features": FEATURES, "timezone": "America/New_York"} | {
        "task": "binary",
        "outputs": ["late"],
        "thresholds": [0.3],
    }
    (folder / "model.json").write_text(json.dumps(about))
    (folder / "example.json").write_text(json.dumps({"rows": ROWS, "scores": [0.0] * len(ROWS)}))
    scorer = Scorer.load(folder)
    scores = scorer.score(scorer.table(ROWS))
    assert len(np.unique(scores)) == len(ROWS), "the toy model must tell its rows apart"
    (folder / "example.json").write_text(json.dumps({"rows": ROWS, "scores": scores.tolist()}))


class Killed(BaseException):
    """The process ended here, as a test pretends."""


class Fuse:
    """Burns after so many calls; what it wraps has done its work by then, as when a process is killed between two steps."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def after(self, function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            answer = function(*args, **options)
            self.left -= 1
            if self.left <= 0:
                raise Killed
            return answer

        return call
