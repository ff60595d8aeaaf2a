"""A model folder with every kind of column, exports made as training makes them; the weights are drawn, not learned."""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml import exports, features, models
from ml.features import columns, encoder
from ml.problem import Feature, Problem, Serving, Training
from ml.records import Exported
from ml.samples import flights
from ml.scoring import Scorer
from ml.settings import PROJECT
from ml.tables import ARROW_TYPES
from ml.train import export
from ml.train.job import Job, work

FEATURES = {
    "carrier": Feature(type="category"),
    "distance": Feature(type="number"),
    "fuel": Feature(type="boolean"),
    "sched": Feature(type="datetime"),
    "zip_code": Feature(type="zip"),
    "story": Feature(type="text", tokens=6),
}
SIZE = 600
OUTPUTS = {"binary": ["late"], "vector_regression": ["cost", "hours"]}


def sample(size: int = SIZE) -> pa.Table:
    """Rows with everything missing now and then, odd characters among them."""
    drawn = np.random.default_rng(5)
    values: dict[str, list[Any]] = {
        "carrier": ["UA", "AA", "Zürich", None, "", "DL"],
        "distance": [100.5, 2500.0, None, -7.25, 1e39],
        "fuel": [True, False, None],
        "sched": [None, *(datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=37 * n) for n in range(200))],
        "zip_code": ["98001", "98€", None, "10001", "1"],
        "story": ["The bank took, my MONEY! away now and then", "", None, "bank İstanbul 🙂", "one-two three"],
    }
    picked = {name: [options[n] for n in drawn.integers(0, len(options), size)] for name, options in values.items()}
    return pa.table({name: pa.array(column, ARROW_TYPES[FEATURES[name].type]) for name, column in picked.items()})


def network(task: str, encoding: features.Encoding, training: Training) -> Any:
    """Weights large enough that answers differ from row to row, and small enough that wide layers add up to no more."""
    import keras

    labels = np.random.default_rng(1).random((100, len(OUTPUTS[task]))) * (1 if task == "binary" else 1000)
    start = models.head(labels if task != "binary" else (labels > 0.6), task=task)
    keras.utils.set_random_seed(3)
    core = models.build(encoder.sizes(encoding), task=task, training=training, start=start)
    drawn = np.random.default_rng(2)
    size = 0.15 * (max(Training().layers) / max(training.layers)) ** 0.5
    core.set_weights([weight + drawn.normal(0, size, weight.shape).astype(np.float32) for weight in core.get_weights()])
    return core, start.scale


def make(folder: Path, task: str, serving: Serving, training: Training | None = None) -> list[Exported]:
    """The model folder of a drawn network, with exports."""
    rows = sample()
    encoding = features.fit(rows, FEATURES, timezone="America/New_York")
    core, scale = network(task, encoding, training or Training())
    about = {
        "problem": "p",
        "run_key": "r",
        "task": task,
        "outputs": OUTPUTS[task],
        "thresholds": [0.5] if task == "binary" else [],
    }
    export.write(folder, core, encoding, about=about)
    plan = features.layout(encoding)
    example = export.typical(encoding)
    export.write_example(
        folder, example, np.squeeze(core(columns.encode(example, plan), training=False).numpy(), -1 if task == "binary" else ())
    )
    reference = Scorer.load(folder, reference=True).score(rows)
    check = exports.Check(rows, reference, scale, lambda answers: float(answers.mean()), serving.export_tolerance)
    return exports.make(folder, core, plan, serving=serving, check=check, representative=columns.encode(rows, plan))


def flights_model(folder: Path, serving: Serving) -> tuple[Path, pa.Table]:
    """A network that learned two passes of 10,000 real flights, exported as training does, and the raw rows."""
    problem = Problem.model_validate(tomllib.loads((PROJECT / "ml" / "problems" / "flights.toml").read_text()))
    history = flights.read()
    rows = history.filter(pc.is_valid(history["late_15"])).take(pa.array(range(0, 300_000, 30)))
    encoding = features.fit(rows.slice(0, 5_000), problem.features, timezone=problem.source.timezone)
    arrays = columns.encode(rows, features.layout(encoding)) | {"label": rows["late_15"].to_numpy().astype(np.float32)}
    asked = Job(
        problem=problem.model_copy(update={"serving": serving, "training": problem.training.model_copy(update={"epochs": 2})}),
        run_key="r", encoding=encoding, parts=dict.fromkeys(("train", "validation", "test"), arrays), rows=rows,
        model=folder, scratch=folder.with_name("scratch"), inputs="flights",
    )  # fmt: skip
    asked.scratch.mkdir()
    work(asked, lambda told: None)
    return folder, rows.select(list(problem.features))
