"""Evidently as its manual says: the presets with their own tests, methods and thresholds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253

from benchmarks.alarm_worlds import Stream
from ml.monitor.evidence import Evidence


@dataclass(frozen=True)
class Verdict:
    """Whether the data set has drifted, or a test of the quality fails, and which columns have drifted."""

    alarm: bool
    columns: frozenset[str]


def verdict(reference: Stream, held: Evidence, labelled: Stream) -> Verdict:
    """DataDriftPreset on features and scores of the day, ClassificationPreset on the newest day that has labels."""
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationPreset, DataDriftPreset

    today = pd.DataFrame({name: column.to_numpy() for name, column in held.columns.items()} | {"score": held.scores})
    categories = [name for name in today if name.startswith("c")]
    numbers = [name for name in today if name not in categories]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    sides = [Dataset.from_pandas(one, data_definition=definition) for one in (today, _frame(reference))]
    drifted = Report([DataDriftPreset()], include_tests=True).run(*sides).dict()
    failed = {test["metric_config"]["params"].get("column") for test in drifted["tests"] if test["status"] == "FAIL"}
    classified = DataDefinition(
        numerical_columns=["score"],
        categorical_columns=["label"],
        classification=[BinaryClassification(target="label", prediction_probas="score", pos_label=1)],
    )
    scored = [Dataset.from_pandas(_scored(one), data_definition=classified) for one in (labelled, reference)]
    quality = Report([ClassificationPreset()], include_tests=True).run(*scored).dict()
    worse = any(test["status"] == "FAIL" for test in quality["tests"])
    return Verdict(None in failed or worse, frozenset(failed - {None}) | ({"auc"} if worse else frozenset()))


def _frame(stream: Stream) -> pd.DataFrame:
    columns: dict[str, Any] = {f"n{place}": one for place, one in enumerate(stream.numbers.T)}
    columns |= {f"c{place}": one for place, one in enumerate(stream.categories)}
    return pd.DataFrame(columns | {"score": stream.scores})


def _scored(stream: Stream) -> pd.DataFrame:
    return pd.DataFrame({"score": stream.scores, "label": np.asarray(stream.labels, int)})
