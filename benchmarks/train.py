"""What an epoch costs: our steps on rows that were encoded once, beside Keras's `fit`, on all flights of 2013.

Every case runs in a process of its own and learns the same network, batches of 512, with the same step size. CPU seconds of all
threads; an epoch is the median of those after the first, which compiles.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EPOCHS = 4
TESTED = 10  # one row in so many is kept for the AUC
FIT, GRAPH, ENCODING, QUALITY = 0.5, 0.1, 5.0, 0.005  # the goals
Arrays = dict[str, np.ndarray]


def main() -> None:
    """Run the cases, print the table, and as the last line everything as JSON."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--case", choices=list(CASES), help="run one case in this process and print it as JSON")
    given.add_argument("--home", type=Path)
    asked = given.parse_args()
    if asked.case:
        print(json.dumps(CASES[asked.case](asked.home)))
        return
    with tempfile.TemporaryDirectory() as home:
        rows = [_apart(case, home) for case in CASES]
    for row in rows:
        quality = f"AUC {row['auc']:.4f}" if "auc" in row else ""
        print(f"{row['case']:<14} {row['cpu_s']:8.2f} CPU-s {row['seconds']:8.2f} s  {quality:<11} {row['note']}")
    print(json.dumps({"bench": "train", "machine": _machine(), "goals": _goals(rows), "rows": rows}))


def _goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_case = {row["case"]: row for row in rows}
    cpu = {case: row["cpu_s"] for case, row in by_case.items()}
    loss = by_case["fit"]["auc"] - by_case["ours"]["auc"]
    return [
        _goal("an epoch against Keras fit on packed arrays", cpu["ours"] / cpu["fit"], "times", FIT, most=True),
        _goal("an epoch against preprocessing in every step", cpu["ours"] / cpu["in_graph"], "times", GRAPH, most=True),
        _goal("AUC that Keras fit has more", loss, "AUC", QUALITY, most=True),
        _goal(
            "Keras adapt and lookups once against our encoding",
            cpu["adapt_1_epoch"] / cpu["encode"],
            "times",
            ENCODING,
            most=False,
        ),
    ]


def _goal(name: str, value: float, unit: str, goal: float, *, most: bool) -> dict[str, Any]:
    holds = value <= goal if most else value >= goal
    return {"name": name, "value": round(value, 4), "unit": unit, "goal": goal, "holds": holds}


def _apart(case: str, home: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.train", "--case", case, "--home", home]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"case": case} | found


def _timed(work: Any) -> tuple[dict[str, float], Any]:
    began, worked = time.perf_counter(), time.process_time()
    result = work()
    return {"cpu_s": time.process_time() - worked, "seconds": time.perf_counter() - began}, result


def _problem() -> Any:
    from ml import problem
    from ml.problem import Problem

    return Problem.model_validate(tomllib.loads((Path(problem.__file__).parents[1] / "problems" / "flights.toml").read_text()))


def _rows() -> pa.Table:
    """Every flight of the year whose outcome is known."""
    from ml.samples import flights

    rows = flights.read()
    return rows.filter(pc.is_valid(rows["late_15"]))


def _encode(home: Path) -> dict[str, Any]:
    """Vocabularies and the encoding of all rows, once; leaves the arrays for the other cases."""
    from ml import features
    from ml.features import columns

    problem, rows = _problem(), _rows()

    def work() -> tuple[Any, Arrays]:
        learned = features.fit(rows, problem.features, timezone=problem.source.timezone)
        return learned, columns.encode(rows, features.layout(learned))

    cost, (learned, arrays) = _timed(work)
    label = rows["late_15"].to_numpy().astype(np.float32)
    np.savez(home / "arrays.npz", label=label, **arrays)
    (home / "encoding.json").write_text(learned.model_dump_json())
    return cost | {"note": f"{rows.num_rows:,} rows: vocabularies and encoding by Arrow, as training does"}


def _raw(rows: pa.Table) -> Arrays:
    from ml import features

    problem = _problem()
    return features.inputs(rows, problem.features, timezone=problem.source.timezone)


def _adapt(home: Path, *, epochs: int = EPOCHS) -> dict[str, Any]:
    """The same through Keras: layers that adapt, then lookups batch by batch, in every epoch anew."""
    import keras
    import tensorflow as tf

    from ml.features import encoder

    problem, raw = _problem(), _raw(_rows())
    text = [name for name, feature in problem.features.items() if feature.type == "category"]
    numbers = [name for name, feature in problem.features.items() if feature.type == "number"]

    def clock(batch: dict[str, Any]) -> dict[str, Any]:
        weekday, hour, position = encoder._datetime(batch["sched_dep"])
        return {"weekday": weekday, "hour": hour, "position": position}

    def work() -> None:
        layers: dict[str, Any] = {}
        for name in text:
            layers[name] = keras.layers.StringLookup()
            layers[name].adapt(raw[name].astype(str))
        for name in numbers:
            layers[name] = keras.layers.Normalization(axis=None)
            layers[name].adapt(np.nan_to_num(raw[name]))
        batches = tf.data.Dataset.from_tensor_slices(raw).batch(512)
        encoded = batches.map(lambda batch: {name: layer(batch[name]) for name, layer in layers.items()} | clock(batch))
        for _ in range(epochs):
            for _ in encoded:
                pass

    cost, _ = _timed(work)
    note = f"StringLookup and Normalization: adapt, then {epochs} pass(es) in batches of 512, hour and weekday by our graph"
    return cost | {"note": note}


def _parts(home: Path) -> tuple[Arrays, Arrays]:
    with np.load(home / "arrays.npz") as held:
        arrays = {name: held[name] for name in held.files}
    tested = np.random.default_rng(0).permutation(len(arrays["label"])) % TESTED == 0
    return {name: array[~tested] for name, array in arrays.items()}, {name: array[tested] for name, array in arrays.items()}


def _network(home: Path, train: Arrays) -> tuple[Any, Any, Any]:
    """The network that the flights problem asks for, its start, and the training settings."""
    import keras

    from ml import models
    from ml.features import Encoding, encoder

    training = _problem().training
    keras.utils.set_random_seed(training.seed)
    start = models.head(train["label"], task="binary")
    encoding = Encoding.model_validate_json((home / "encoding.json").read_text())
    return models.build(encoder.sizes(encoding), task="binary", training=training, start=start), start, training


def _ours(home: Path, *, bits: bool = True) -> dict[str, Any]:
    """Our steps; `bits` asks TensorFlow for operations that give the same bits every time."""
    import tensorflow as tf

    from ml.train import machine
    from ml.train.learner import Learner

    train, test = _parts(home)
    if bits:
        tf.config.experimental.enable_op_determinism()
    machine.settle(_problem().training.threads)
    model, start, training = _network(home, train)
    learner = Learner(model, start, task="binary", training=training)
    learner.take({name: array for name, array in train.items()}, None)
    costs = [_timed(lambda number=epoch: [learner.run(part) for part in learner.stretches(number)])[0] for epoch in range(EPOCHS)]
    note = f"many steps in one graph, rows on the device; first epoch {costs[0]['cpu_s']:.2f}"
    return _epochs(costs) | {"auc": _auc(model, test), "note": note + ("" if bits else ", without the same bits")}


def _fit(home: Path) -> dict[str, Any]:
    import keras

    train, test = _parts(home)
    model, _, training = _network(home, train)
    model.compile(keras.optimizers.Adam(training.learning_rate), loss="binary_crossentropy")
    return _kept(model, _packed(model, train), test) | {"note": "plain fit on the packed arrays, threads as TensorFlow chooses"}


def _in_graph(home: Path) -> dict[str, Any]:
    """Raw columns into a model that encodes them at every step."""
    import keras
    import tensorflow as tf

    from ml.features import Encoding, encoder

    train, _ = _parts(home)
    core, _, training = _network(home, train)
    encode = encoder.build(Encoding.model_validate_json((home / "encoding.json").read_text()))

    class Raw(keras.Model):  # type: ignore[misc]  # keras ships no types
        def call(self, columns: dict[str, Any], training: bool = False) -> Any:
            packed = encode(columns)
            return core({tensor.name: packed[tensor.name] for tensor in core.inputs}, training=training)

    rows = _rows()
    raw, label = _raw(rows), rows["late_15"].to_numpy().astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((raw, label)).shuffle(8192).batch(training.batch_size).prefetch(2)
    model = Raw()
    model.compile(keras.optimizers.Adam(training.learning_rate), loss="binary_crossentropy")
    model.fit(batches.take(20), verbose=0)
    cost, _ = _timed(lambda: model.fit(batches, verbose=0))
    return cost | {"note": "the exported encoder inside every training step"}


def _kept(model: Any, fed: tuple[Any, Any], test: Arrays) -> dict[str, Any]:
    costs = [_timed(lambda: model.fit(*fed, batch_size=512, verbose=0))[0] for _ in range(EPOCHS)]
    return _epochs(costs) | {"auc": _auc(model, test)}


def _epochs(costs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(cost[name] for cost in costs[1:]) for name in ("cpu_s", "seconds")}


def _packed(model: Any, arrays: Arrays) -> tuple[Arrays, np.ndarray]:
    return {tensor.name: arrays[tensor.name] for tensor in model.inputs}, arrays["label"][:, None]


def _auc(model: Any, test: Arrays) -> float:
    from ml import metrics
    from ml.train import fit

    return metrics.metric("auc", test["label"].astype(np.float64), fit.predict(model, test))


def _machine() -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


CASES = {
    "encode": _encode,
    "adapt": _adapt,
    "adapt_1_epoch": lambda home: _adapt(home, epochs=1),
    "ours": _ours,
    "ours_any_bits": lambda home: _ours(home, bits=False),
    "fit": _fit,
    "in_graph": _in_graph,
}

if __name__ == "__main__":
    main()
