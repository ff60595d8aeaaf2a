"""The sections of a problem file. A key that is not here is an error; `python -m ml problem describe` prints these."""

import zoneinfo
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

IDENTIFIER = r"^[a-z][a-z0-9_]*$"
Metric = Literal["auc", "average_precision", "log_loss", "brier"]
FeatureType = Literal["category", "number", "text", "boolean", "datetime", "zip"]


class Section(BaseModel):
    """Frozen, and strict about names: a typo is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class About(Section):
    """Who asks what."""

    name: str = Field(pattern=IDENTIFIER, max_length=40, description="lower case, digits and _; names DAGs, tables, the model")
    title: str = Field(description="the question in a few words, for people")
    task: Literal["binary"] = Field(description="binary: a sigmoid, trained on binary cross-entropy")
    owner: str = Field(description="who answers for it")
    description: str = Field("", description="what the prediction is used for")
    positive: str = Field("yes", description="what a positive label means, as in '23 % of flights are <late>'")
    rows: str = Field("rows", description="what a row is, in the plural, as in '920 <flights> a day'")


class Source(Section):
    """Where production rows come from."""

    kind: Literal["postgres"] = Field("postgres", description="a table read with COPY; the role needs SELECT only")
    table: str = Field(pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$", description="table or schema.table")
    key: str = Field(pattern=IDENTIFIER, description="column that names a row")
    event_time: str = Field(pattern=IDENTIFIER, description="column with the moment the row is about; it decides the day")
    label: str = Field(pattern=IDENTIFIER, description="column to predict; null until it is known")
    label_time: str = Field(pattern=IDENTIFIER, description="column with the moment the label became known")
    available_at: str | None = Field(None, pattern=IDENTIFIER, description="column with the moment the row became known")
    timezone: str = Field("UTC", description="IANA zone that days are cut in")

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError(f"source.timezone: {value!r} is no IANA time zone; write one such as America/New_York")
        return value

    history_days: int = Field(31, ge=1, description="how far back the first night reads, days")
    lookback_days: int = Field(3, ge=0, description="days before the new ones read again for late rows and labels")


class Validation(Section):
    """When a batch is good enough to learn from; the rules themselves stand in the expectation suite."""

    max_quarantined_share: float = Field(0.05, ge=0, le=1, description="above this share of bad rows the night stops")
    allow_empty_days: bool = Field(False, description="whether a day without rows inside a window is normal")


class Feature(Section):
    """One input column."""

    type: FeatureType = Field(description="how the column is read and encoded")
    vocabulary: int = Field(200, ge=1, description="category, zip, text: the most frequent values or words kept")
    prefix: int = Field(3, ge=1, description="zip: leading characters used")
    tokens: int = Field(100, ge=1, description="text: words read from the start")


class Split(Section):
    """Which labelled days teach, which stop the training, which judge; always in time order."""

    protocol: Literal["holdout"] = Field("holdout", description="the newest days are held out")
    train_days: int = Field(60, ge=1, description="longest memory: days of labelled rows used in all")
    validation_days: int = Field(4, ge=1, description="days before the test part that stop the training early")
    test_days: int = Field(7, ge=1, description="newest labelled days, seen only by the evaluation")
    minimum_rows: int = Field(200, ge=1, description="fewest rows a part may have")


class Training(Section):
    """The network and how it learns."""

    layers: tuple[int, ...] = Field((64, 32), description="units of the hidden layers")
    embedding: int = Field(8, ge=1, description="numbers per category value or word")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of units dropped while training")
    l2: float = Field(1e-6, ge=0, description="weight of the squared weights in the loss")
    learning_rate: float = Field(0.002, gt=0, description="Adam's step size")
    batch_size: int = Field(512, ge=1, description="rows per step")
    epochs: int = Field(20, ge=1, description="most passes over the training part")
    patience: int = Field(3, ge=1, description="passes without a better validation loss before stopping")
    seed: int = Field(1, ge=0, description="same seed, data and machine type: the same model to the bit")


class Cost(Section):
    """What a wrong answer costs, in any one unit."""

    false_positive: float = Field(1.0, gt=0, description="of a needless yes")
    false_negative: float = Field(1.0, gt=0, description="of a missed one")


class Success(Section):
    """How a model is judged."""

    metric: Metric = Field("auc", description="what the gate compares")
    baseline: Literal["prior", "logistic"] = Field(
        "logistic", description="the simple model to beat: the class rate or logistic regression"
    )
    cost: Cost = Field(Cost(), description="decides the threshold of a yes")
    slices: tuple[str, ...] = Field((), description="columns whose values are judged one by one")


class Gate(Section):
    """When a candidate may replace the champion. The defaults block unless the candidate is better for sure."""

    floors: dict[Metric, float] = Field({}, description="worst value allowed per metric (for log_loss, brier: highest)")
    minimum_gain: float = Field(0.0, ge=0, description="gain over the champion that must be exceeded, in metric units")
    non_inferiority_margin: float | None = Field(
        None, gt=0, description="if set: a fresher model may pass when it is not worse than this, in metric units"
    )
    baseline_margin: float = Field(0.0, ge=0, description="how far below the baseline a candidate may be, in metric units")
    slice_margin: float = Field(0.05, ge=0, description="loss against the champion allowed in any slice, in metric units")
    slice_rows: int = Field(300, ge=30, description="slices with fewer test rows are shown, not judged")
    calibration: float = Field(0.1, gt=0, description="largest expected calibration error, in probability")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of every interval")
    minimum_rows: int = Field(500, ge=1, description="with fewer test rows the verdict is: not assessable")
    maximum_age_days: int = Field(7, ge=1, description="the newest labelled row may be this old")
    approval: Literal["auto", "manual"] = Field("manual", description="manual: a person promotes")


class Drift(Section):
    """When served data or answers differ enough to act."""

    window_days: int = Field(1, ge=1, description="days of requests looked at")
    label_days: int = Field(7, ge=1, description="days of answered requests whose labels are looked at")
    minimum_rows: int = Field(200, ge=1, description="with fewer rows the verdict is: not assessable")
    confidence: float = Field(0.99, gt=0.5, lt=1, description="of the tests, before correction over columns")
    effect: float = Field(0.2, gt=0, description="smallest shift that counts: Jensen-Shannon distance, 0 to 1")
    columns_share: float = Field(0.3, gt=0, le=1, description="share of columns that must shift to call it data drift")
    quality_drop: float = Field(0.05, gt=0, description="loss of live quality against the evaluation that counts, metric units")
    rate_gap: float = Field(0.08, gt=0, description="gap between predicted and observed rate that counts, in probability")
    cooldown_days: int = Field(7, ge=0, description="days before drift may ask for another retrain")
    retrain_on: tuple[Literal["data", "prediction", "concept"], ...] = Field(("concept",), description="what asks for a retrain")


class Serving(Section):
    """How a new champion takes over."""

    rollout: Literal["direct"] = Field("direct", description="loaded beside the old one, verified, then swapped at once")
    tolerance: float = Field(1e-5, gt=0, description="largest difference between served and evaluated score of the example")


class Schedule(Section):
    """When the night begins."""

    retrain: str = Field("0 3 * * *", description="cron, in the source's time zone")
    monitor: str = Field("30 5 * * *", description="cron, in the source's time zone")


class Problem(Section):
    """A whole problem file."""

    problem: About
    source: Source
    features: dict[str, Feature] = Field(min_length=1, description="input columns; order is kept")
    leakage: dict[str, str] = Field({}, description="columns that are never used, each with the reason")
    validation: Validation = Validation()
    split: Split = Split()
    training: Training = Training()
    success: Success = Success()
    gate: Gate = Gate()
    drift: Drift = Drift()
    serving: Serving = Serving()
    schedule: Schedule = Schedule()

    @property
    def name(self) -> str:
        """Names the DAGs, the registered model and the folder in the store."""
        return self.problem.name

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        leaks = sorted(set(self.features) & (set(self.leakage) | {self.source.label, self.source.label_time}))
        if leaks:
            raise ValueError(f"features.{leaks[0]}: the column is the label or named under [leakage]; remove it from one side")
        source = self.source
        reserved = {"key", source.key, *filter(None, [source.available_at])}
        bad = sorted(name for name in self.features if name in reserved or name.startswith("_"))
        if bad:
            raise ValueError(
                f"features.{bad[0]}: this name is taken: key, [source] key and available_at, and names that begin with _"
            )
        strange = sorted(set(self.success.slices) - set(self.features))
        if strange:
            raise ValueError(f"success.slices: {strange[0]!r} is not one of the features {sorted(self.features)}")
        return self
