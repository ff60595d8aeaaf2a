"""The exported model on 10,000 raw flights answers as the network did on encoded ones."""

import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ml import features
from ml.features import encoder
from ml.problem import Problem
from ml.samples import flights
from ml.scoring import Scorer
from ml.settings import PROJECT
from ml.train import export, fit


@pytest.mark.parametrize("batch", [10_000, 333], ids=["at once", "in small requests"])
def test_ten_thousand_raw_flights_score_as_encoded_ones(tmp_path, batch):
    problem = Problem.model_validate(tomllib.loads((PROJECT / "ml" / "problems" / "flights.toml").read_text()))
    history = flights.read()
    rows = history.filter(pc.is_valid(history["late_15"])).take(pa.array(range(0, 300_000, 30)))
    learned = features.fit(rows.slice(0, 5_000), problem.features, timezone=problem.source.timezone)
    raw = features.inputs(rows, problem.features, timezone=problem.source.timezone)
    arrays = encoder.encode(encoder.build(learned), raw) | {"label": rows["late_15"].to_numpy().astype(np.float32)}
    training = problem.training.model_copy(update={"epochs": 2})
    sizes = encoder.sizes(learned)
    fitted = fit.fit(arrays, None, sizes=sizes, task="binary", training=training, progress=lambda told: None)
    expected = fit.predict(fitted.model, arrays)
    about = {"problem": "flights", "run_key": "r", "task": "binary", "outputs": ["late_15"], "thresholds": [0.5]}
    export.write(tmp_path / "model", fitted.model, learned, about=about)
    export.write_example(tmp_path / "model", rows.slice(0, 3), expected)
    scorer = Scorer.load(tmp_path / "model")
    got = np.concatenate([scorer.score(rows.slice(first, batch)) for first in range(0, rows.num_rows, batch)])
    assert len(got) == 10_000
    assert np.abs(got - expected).max() <= 1e-6
    assert expected.std() > 0.02
