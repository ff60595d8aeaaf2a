"""The flights as five different questions: one view of production, one problem file a task, no Python in between."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ml.settings import PROJECT

VIEW = """
    CREATE VIEW flights_asked AS SELECT *,
        CASE WHEN arr_delay < -5 THEN 'early' WHEN arr_delay <= 15 THEN 'on time' WHEN arr_delay <= 60 THEN 'late'
             WHEN arr_delay > 60 THEN 'very late' END AS arrival,
        dep_delay > 15 AS left_late, arr_delay - dep_delay > 5 AS lost_time_on_the_way
    FROM flights"""


@dataclass(frozen=True)
class Asked:
    """One task: what is predicted, and the metric that tells whether anything was learned."""

    task: str
    label: str | list[str]
    metric: str
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"flights_{self.task}"

    @property
    def labels(self) -> list[str]:
        return [self.label] if isinstance(self.label, str) else self.label


ASKED = (
    Asked("binary", "late_15", "auc"),
    Asked("multiclass", "arrival", "auc", ("early", "on time", "late", "very late")),
    Asked("multilabel", ["left_late", "lost_time_on_the_way"], "auc"),
    Asked("regression", "arr_delay", "rmse"),
    Asked("vector_regression", ["dep_delay", "arr_delay"], "rmse"),
)
# A fortnight is little to learn from: these limits ask for less than a real problem would.
TEMPLATE = """
[problem]
name = "{name}"
title = "How flights arrive"
task = "{task}"
owner = "operations"
positive = "late"
rows = "flights"
{classes}

[source]
table = "flights_asked"
key = "flight_id"
event_time = "sched_dep"
label = {label}
label_time = "outcome_at"
available_at = "available_at"
timezone = "America/New_York"
history_days = 21

[features]
{features}

[validation.history]
row_count = {{ warning = 0.4, critical = 0.7 }}

[split]
validation_days = 3
test_days = 7

[training]
layers = [16]
dropout = 0.3
epochs = 8

[success]
metric = "{metric}"
must_beat = ["prior"]
beside = ["linear"]
slices = ["origin"]

[gate]
non_inferiority_margin = 100.0
baseline_margin = 100.0
slice_margin = 100.0
calibration = 1.0
approval = "auto"
"""


def write(asked: Asked, folder: Path) -> Path:
    """The problem file of a task and a small suite beside it."""
    flights = tomllib.loads((PROJECT / "ml" / "problems" / "flights.toml").read_text())
    features = "\n".join(f'{name} = {{ type = "{about["type"]}" }}' for name, about in flights["features"].items())
    classes = f"classes = {json.dumps(asked.classes)}" if asked.classes else ""
    about = {"name": asked.name, "task": asked.task, "metric": asked.metric, "label": json.dumps(asked.label)}
    path = folder / f"{asked.name}.toml"
    path.write_text(TEMPLATE.format(**about, classes=classes, features=features))
    rule = {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "flight_id"},
        "severity": "critical",
        "meta": {"why": "a row without a key can be neither corrected nor traced"},
    }
    suite = {"name": f"{asked.name}.raw", "expectations": [rule]}
    (folder / f"{asked.name}.raw.json").write_text(json.dumps(suite))
    return path
