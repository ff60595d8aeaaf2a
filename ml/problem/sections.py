"""The sections of a problem file. A key that is not here is an error; `python -m ml problem describe` prints these."""

import zoneinfo
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

IDENTIFIER = r"^[a-z][a-z0-9_]*$"
Metric = Literal["auc", "average_precision", "log_loss", "brier"]
FeatureType = Literal["category", "number", "text", "boolean", "datetime", "zip"]
REDACTABLE = {
    "text": ("text", "category"),
    "hash": ("key", "text", "category", "zip"),
    "remove": ("text", "category", "zip", "boolean", "datetime"),
}


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

    kind: Literal["postgres", "s3", "files"] = Field("postgres", description="a table, objects of a bucket, or files")
    table: str | None = Field(
        None, pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$", description="postgres: table or schema.table; SELECT is enough"
    )
    pattern: str | None = Field(
        None,
        description="s3: s3://bucket/prefix/*.csv.gz; files: /folder/**/*.parquet; CSV, JSON lines, Parquet",
    )
    streams: int = Field(2, ge=1, le=16, description="postgres: connections that read a large window side by side")
    key: str = Field(pattern=IDENTIFIER, description="column that names a row")
    event_time: str = Field(pattern=IDENTIFIER, description="column with the moment the row is about; it decides the day")
    label: str = Field(pattern=IDENTIFIER, description="column to predict; null until it is known")
    label_time: str = Field(pattern=IDENTIFIER, description="column with the moment the label became known")
    available_at: str | None = Field(None, pattern=IDENTIFIER, description="column with the moment the row became known")
    deleted: str | None = Field(
        None,
        pattern=IDENTIFIER,
        description="column that marks a row as deleted (true, or the moment): counted, left out",
    )
    updated_at: str | None = Field(
        None,
        pattern=IDENTIFIER,
        description="column that orders the versions of a row where a key occurs more than once; files: without it the last "
        "file in name order counts",
    )
    timezone: str = Field("UTC", description="IANA zone that days are cut in; times without an offset are local to it")

    @property
    def place(self) -> str:
        """Where the rows are, for people: the table or the pattern."""
        return self.table or self.pattern or ""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        needed, other = ("table", "pattern") if self.kind == "postgres" else ("pattern", "table")
        if getattr(self, needed) is None or getattr(self, other) is not None:
            raise ValueError(f"source: kind = {self.kind!r} needs {needed!r} and no {other!r}")
        start = {"s3": "s3://", "files": "/"}.get(self.kind, "")
        if not (self.pattern or "").startswith(start):
            raise ValueError(f"source.pattern: {self.pattern!r} must begin with {start!r}, because kind = {self.kind!r}")
        return self

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError(f"source.timezone: {value!r} is no IANA time zone; write one such as America/New_York")
        return value

    history_days: int = Field(31, ge=1, description="how far back the first night reads, days")
    lookback_days: int = Field(3, ge=0, description="days before the new ones read again for late rows and labels")


class Limit(Section):
    """How far a day may be from the days before it."""

    warning: float | Literal["off"] = Field(description="beyond this it is shown, off: never")
    critical: float | Literal["off"] = Field("off", description="beyond this the night stops, off: never")


class History(Section):
    """What a new day is compared with, and how far it may be outside what was usual; what is short of history is not judged."""

    trailing_weeks: int = Field(6, ge=1, description="days before a day that it is compared with, in weeks")
    minimum_days: int = Field(14, ge=2, description="with fewer days of history nothing is judged")
    minimum_rows: int = Field(100, ge=1, description="a day with fewer rows is judged by their number only")
    row_count: Limit = Field(
        Limit(warning=0.4, critical=0.9),
        description="share of rows too few or too many against the median of that weekday: 0.5 is half as many or twice as many",
    )
    nulls: Limit = Field(Limit(warning=0.3), description="share of rows without a value beyond the usual range of a column")
    class_balance: Limit = Field(Limit(warning=0.25), description="share of positive labels beyond the usual range")
    new_categories: Limit = Field(Limit(warning=0.1), description="share of rows with values never seen before, beyond the usual")
    distribution: Limit = Field(
        Limit(warning=0.4), description="Jensen-Shannon distance (0 to 1) to the days before, beyond the usual"
    )
    freshness: Limit = Field(Limit(warning=48, critical=168), description="hours since the newest event, beyond the usual delay")
    duplicates: Limit = Field(
        Limit(warning=0.001, critical=0.05), description="share of ingested rows whose key or whole content another row has too"
    )


class Validation(Section):
    """When a batch is good enough to learn from; the rules themselves stand in the expectation suite."""

    max_quarantined_share: float = Field(0.05, ge=0, le=1, description="above this share of bad rows the night stops")
    allow_empty_days: bool = Field(False, description="whether a day without rows inside a window is normal")
    history: History = History()


class Contract(Section):
    """When data that differ from what was recorded at first stop a run before anything is written."""

    stop: bool = Field(True, description="false: differences are shown in the log and do not stop")
    ignore: tuple[str, ...] = Field((), description="columns that are not compared, such as a counter that only grows")
    minimum_rows: int = Field(500, ge=1, description="with fewer rows only names and types are compared, not values")


class Privacy(Section):
    """What must not leave the source, and who may ask to be forgotten."""

    subject: str | None = Field(None, pattern=IDENTIFIER, description="column that names a person; default: [source] key")
    redact: dict[str, Literal["text", "hash", "remove"]] = Field(
        {},
        description="per column, before it is stored: text hides e-mails, phones, cards, accounts, SSNs; hash keeps equal values "
        "equal; remove leaves nothing",
    )


class Retention(Section):
    """How long old things are kept."""

    versions_days: int = Field(
        30, ge=0, description="days an old table version stays; one that a registered model used stays longer"
    )


class Feature(Section):
    """One input column."""

    type: FeatureType = Field(description="how the column is read and encoded")
    unit: str = Field("", description="what a number counts, such as mile or USD; recorded in the contract, shown on pages")
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
    housekeeping: str = Field("0 5 * * 0", description="cron, in the source's time zone; weekly removal of old versions")


class Problem(Section):
    """A whole problem file."""

    problem: About
    source: Source
    features: dict[str, Feature] = Field(min_length=1, description="input columns; order is kept")
    leakage: dict[str, str] = Field({}, description="columns that are never used, each with the reason")
    contract: Contract = Contract()
    privacy: Privacy = Privacy()
    retention: Retention = Retention()
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
        reserved = {"key", source.key, *filter(None, [source.available_at, source.deleted, source.updated_at])}
        bad = sorted(name for name in self.features if name in reserved or name.startswith("_"))
        if bad:
            raise ValueError(
                f"features.{bad[0]}: this name is taken: key, [source] key, available_at, deleted, updated_at, and _names"
            )
        strange = sorted(set(self.success.slices) - set(self.features))
        if strange:
            raise ValueError(f"success.slices: {strange[0]!r} is not one of the features {sorted(self.features)}")
        return self

    @model_validator(mode="after")
    def _privacy_fits(self) -> Self:
        source, subject = self.source, self.privacy.subject
        others = {source.event_time, source.label, source.label_time, source.available_at, source.deleted, source.updated_at}
        if subject and subject in {*others, *self.features}:
            raise ValueError(
                f"privacy.subject: {subject!r} must name a person and teach nothing: take it out of [features], or name another"
            )
        names = dict.fromkeys(filter(None, (source.key, subject)), "key")
        kinds = {name: str(feature.type) for name, feature in self.features.items() if name not in others} | names
        for column, how in self.privacy.redact.items():
            if column not in kinds:
                raise ValueError(f"privacy.redact: {column!r} cannot be redacted; features and keys can: {sorted(kinds)}")
            if kinds[column] not in REDACTABLE[how]:
                fit = ", ".join(f"{one} for {'/'.join(types)}" for one, types in REDACTABLE.items())
                raise ValueError(f"privacy.redact.{column} = {how!r} does not fit a {kinds[column]} column; write {fit}")
        return self
