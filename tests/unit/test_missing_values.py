"""On real flights: a network that met missing values while learning copes when serving misses what training never missed."""

import tomllib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import features, metrics
from ml.features import encoder
from ml.problem import Problem
from ml.samples import flights
from ml.settings import PROJECT
from ml.train import fit, missing

NEVER_MISSING = ("sched_dep", "origin", "dest", "carrier", "distance")


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.model_validate(tomllib.loads((PROJECT / "ml" / "problems" / "flights.toml").read_text()))


@pytest.fixture(scope="module")
def rows() -> dict[str, pa.Table]:
    """Five weeks that teach, one that stops, two that judge."""
    table = flights.read()
    table = table.filter(pc.is_valid(table["late_15"]))
    at = table["sched_dep"].to_numpy()
    ends = [np.datetime64(day) for day in ("2013-06-01", "2013-07-06", "2013-07-13", "2013-07-27")]
    parts = zip(("train", "validation", "test"), ends, ends[1:], strict=False)
    return {name: table.filter(pa.array((at >= first) & (at < end))) for name, first, end in parts}


def test_copies_with_values_dropped_help_when_a_feature_goes_missing(problem, rows):
    learned = features.fit(rows["train"], problem.features, timezone="America/New_York")
    module = encoder.build(learned)

    def encode(table: pa.Table) -> dict:
        raw = features.inputs(table, problem.features, timezone="America/New_York")
        return encoder.encode(module, raw) | {"label": table["late_15"].to_numpy().astype(np.float32)}

    train, validation, whole = (encode(rows[part]) for part in ("train", "validation", "test"))
    without = {}
    for name in NEVER_MISSING:
        assert rows["train"][name].null_count == 0
        gone = pa.nulls(rows["test"].num_rows, rows["test"].schema.field(name).type)
        without[name] = encode(rows["test"].set_column(rows["test"].schema.get_field_index(name), name, gone))
    auc: dict[float, dict[str, float]] = {}
    for share in (0.0, 0.5):
        taught = missing.with_copies(train, learned, share, seed=1) if share else train
        small = problem.training.model_copy(update={"layers": (32,), "l2": 0.01, "batch_size": 512})
        asked: Any = {"sizes": encoder.sizes(learned), "task": "binary", "training": small}
        fitted = fit.fit(taught, validation, **asked, progress=lambda told: None)
        scored = {name: fit.predict(fitted.model, arrays) for name, arrays in {"nothing": whole, **without}.items()}
        auc[share] = {name: metrics.metric("auc", whole["label"].astype(float), score) for name, score in scored.items()}
    assert auc[0.0]["sched_dep"] < 0.53  # without the hour, a network that never missed it knows next to nothing
    assert auc[0.5]["sched_dep"] > auc[0.0]["sched_dep"] + 0.02
    assert all(auc[0.5][name] > auc[0.0][name] - 0.005 for name in auc[0.0])
