"""The section about when to retrain: which policy, how long it may rest, how much it may spend."""

from typing import Literal

from pydantic import Field

from ml.problem.section import Section

Policy = Literal["never", "nightly", "weekly", "drift", "performance", "evergreen"]
Memory = Literal["sliding", "expanding", "break"]


class Retraining(Section):
    """When a scheduled night trains, and from how much of the past. Runs by hand and on drift always train."""

    policy: Policy = Field(
        "evergreen",
        description="never: once; nightly: whenever rows are new; weekly; drift: on any drift; performance: when live quality "
        "fell; evergreen: on drift that hurts, when new rows are shown to help, or when the model is too old",
    )
    longest_days: int = Field(90, ge=1, description="evergreen: days after which a training is due whatever the evidence says")
    shortest_days: int = Field(
        3, ge=1, description="drift, performance, evergreen: days between two trainings, but for drift that hurts"
    )
    new_evidence: float = Field(
        0.1, gt=0, description="evergreen: labelled rows that must be new before a look, per row that the last training had"
    )
    level: float = Field(
        0.05, gt=0, lt=0.5, description="evergreen: chance, at most, that a look sees a gain of new rows where there is none"
    )
    least_gain: float = Field(
        0.02, ge=0, lt=1, description="evergreen: share of the remaining error that new rows must take away to be worth it"
    )
    minutes_per_month: float | None = Field(
        None, gt=0, description="minutes that the trainings of 30 days may take together; no limit by default"
    )
    windows: tuple[Memory, ...] = Field(
        ("sliding", "expanding", "break"),
        min_length=1,
        description="evergreen: what a training may learn from: the newest [split] train_days, everything up to memory_days, "
        "everything since the last break; the first is taken unless another is better on the newest labelled rows",
    )
    memory_days: int = Field(730, ge=1, description="longest expanding window, days")
