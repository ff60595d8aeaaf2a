"""The sections about the model: what it learns from, when it is good enough, how it takes over, when it has aged."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ml.problem.section import Section
from ml.problem.task import Metric

Baseline = Literal["prior", "median", "last", "linear", "boosting"]
Target = Literal["litert", "litert_float16", "litert_int8", "litert_int8_full", "litert_pruned", "onnx"]
LEAST_NOISE = 0.3  # below it epsilon is over 100


class Split(Section):
    """Which labelled days teach, which stop the training, which judge; always in time order."""

    protocol: Literal["holdout", "kfold", "iterated_kfold", "rolling"] = Field(
        "holdout",
        description="who judges before the test: the days before it; whole days in turns; that several times, shuffled; several "
        "windows, each taught by what lies before it",
    )
    folds: int = Field(5, ge=2, le=50, description="kfold, iterated_kfold: turns; rolling: windows of validation_days")
    iterations: int = Field(3, ge=2, le=50, description="iterated_kfold: how many times all rows take turns")
    group: str | None = Field(None, description="feature, or [privacy] subject, whose rows must not be divided between parts")
    gap_days: int = Field(0, ge=0, description="days left out between what teaches and what judges")
    train_days: int = Field(60, ge=1, description="longest memory: days of labelled rows used in all")
    validation_days: int = Field(4, ge=1, description="days before the test part that stop the training early")
    test_days: int = Field(7, ge=1, description="newest labelled days, seen only by the evaluation")
    minimum_rows: int = Field(200, ge=1, description="fewest rows a part may have")


class Watchdog(Section):
    """When a training that runs away or stands still is ended."""

    minutes: float = Field(120, gt=0, description="longest time a training may take, minutes")
    silent_minutes: float = Field(15, gt=0, description="longest time without a sign of progress, minutes")
    memory_share: float = Field(0.8, gt=0, le=1, description="share of the machine's memory that it may hold")


class Dp(Section):
    """Differential privacy of the network's weights (DP-SGD, Abadi et al. 2016): each row's gradient is cut, noise is added."""

    noise: float = Field(0.0, ge=0, description="standard deviation of the noise in units of clip, at least 0.3; 0: off")
    clip: float = Field(5.0, gt=0, description="longest gradient of one row; much too short, rare answers are not learned")
    delta: float = Field(1e-5, gt=0, lt=1, description="chance that the promise of epsilon fails; below 1 / training rows")

    @model_validator(mode="after")
    def _promises_something(self) -> Self:
        if 0 < self.noise < LEAST_NOISE:
            raise ValueError(f"training.dp.noise = {self.noise:g} hides nothing: write at least {LEAST_NOISE:g}, or 0 for none")
        return self


class Training(Section):
    """The network and how it learns."""

    layers: tuple[int, ...] = Field((64, 32), description="units of the hidden layers")
    embedding: int = Field(8, ge=1, description="numbers per category value or word")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of units dropped while training")
    l1: float = Field(0.0, ge=0, description="weight of the absolute weights in the loss: drives needless ones to zero")
    l2: float = Field(1e-6, ge=0, description="weight of the squared weights in the loss")
    learning_rate: float = Field(0.002, gt=0, description="Adam's step size")
    batch_size: int = Field(512, ge=1, description="rows per step")
    epochs: int = Field(20, ge=1, description="most passes over the training part")
    patience: int = Field(3, ge=1, description="passes without a better validation loss before stopping")
    seed: int = Field(1, ge=0, description="same seed, data and machine type: the same model to the bit")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: rare classes weigh as much as frequent ones while learning; probabilities stay true"
    )
    missing_copies: float = Field(
        0.0, ge=0, le=5, description="copies of training rows with values dropped, per row: for serving that misses what is here"
    )
    refit: bool = Field(
        True, description="learn once more from training and validation rows together, for as many epochs as were best"
    )
    warm_start: bool = Field(False, description="begin with the champion's weights instead of random ones")
    threads: int = Field(1, ge=1, description="of TensorFlow while training; small networks are fastest with one")
    checkpoint_seconds: float = Field(30.0, ge=0, description="a killed training loses at most this and an epoch; 0: every epoch")
    watchdog: Watchdog = Watchdog()
    dp: Dp = Dp()

    @model_validator(mode="after")
    def _dp_counts_every_look(self) -> Self:
        broken = {
            "warm_start": self.warm_start and "the champion has learned from many of the same rows",
            "missing_copies": self.missing_copies and "a row would count several times",
            "class_weights": self.class_weights == "balanced" and "a row would change how much all others count",
        }
        for name, why in broken.items():
            if self.dp.noise and why:
                raise ValueError(f"training.{name} does not go with training.dp, whose epsilon would be wrong: {why}")
        return self


class Cost(Section):
    """What a wrong answer costs, in any one unit."""

    false_positive: float = Field(1.0, gt=0, description="of a needless yes")
    false_negative: float = Field(1.0, gt=0, description="of a missed one")


class Success(Section):
    """How a model is judged."""

    metric: Metric = Field("auc", description="what the gate compares; by default log_loss for multiclass, mae for numbers")
    must_beat: tuple[Baseline, ...] = Field(
        ("prior", "linear"),
        min_length=1,
        description="simple models that the candidate must beat: rate, shares or mean; median; last value known of the entity; "
        "logistic or ridge regression; gradient boosting",
    )
    beside: tuple[Baseline, ...] = Field(("boosting",), description="simple models shown beside it, as a yardstick")
    entity: tuple[str, ...] = Field((), description="features that together name what the baseline `last` looks back at")
    cost: Cost = Field(Cost(), description="decides the threshold of a yes")
    slices: tuple[str, ...] = Field((), description="columns whose values are judged one by one")
    protected: tuple[str, ...] = Field((), description="slices whose groups must also be served alike; see [gate] fairness_gap")
    show_rows: bool = Field(
        False,
        description="whether single rows (worst errors, flips) may stand in MLflow, without columns that are redacted",
    )
    reference_share: float = Field(
        0.02, ge=0, lt=0.5, description="share of keys that no model ever learns from, frozen as the reference rows; 0: none"
    )
    reference_days: int = Field(365, ge=1, description="age at which the reference rows are frozen anew, from the same keys")

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """Every simple model that is fitted: those to beat first."""
        return tuple(dict.fromkeys((*self.must_beat, *self.beside)))


class Gate(Section):
    """When a candidate may replace the champion. The defaults block unless the candidate is better for sure."""

    floors: dict[Metric, float] = Field({}, description="worst value allowed per metric (for losses: highest)")
    minimum_gain: float = Field(0.0, ge=0, description="gain over the champion that must be exceeded, in metric units")
    lucky_promotions_per_year: float = Field(
        1.0,
        gt=0,
        le=365,
        description="how often, at most, a year of nightly gates may promote by luck what gains no more than that",
    )
    non_inferiority_margin: float | None = Field(
        None, gt=0, description="if set: a fresher model may pass when it is not worse than this, in metric units"
    )
    baseline_margin: float = Field(0.0, ge=0, description="how far below a baseline to beat a candidate may be, in metric units")
    slice_margin: float = Field(0.05, ge=0, description="loss against the champion allowed in any slice, in metric units")
    slice_rows: int = Field(300, ge=30, description="slices with fewer test rows are shown, not judged")
    reference_margin: float = Field(
        0.05, ge=0, description="loss against the champion allowed on the reference rows, in metric units"
    )
    calibration: float = Field(
        0.1,
        gt=0,
        description="largest expected calibration error, in probability; of numbers, in standard deviations of the label",
    )
    calibration_slope: float = Field(
        0.5, ge=0, lt=1, description="smallest calibration slope; below it a model is far too sure of itself (1 is right)"
    )
    fairness_gap: float = Field(0.2, gt=0, description="largest gap between groups of a protected column")
    believable_skill: float = Field(
        0.95,
        gt=0,
        le=1,
        description="share of the way from a constant answer to a perfect one above which labels must be leaking",
    )
    believable_gain: float = Field(
        0.5, gt=0, le=1, description="share of the champion's remaining error that may vanish in one night"
    )
    feature_skill: float = Field(0.65, gt=0, le=1, description="share of that way that one feature alone may carry")
    maximum_size_mb: float | None = Field(None, gt=0, description="largest model, in megabytes on disk; no limit by default")
    maximum_latency_ms: float | None = Field(
        None,
        gt=0,
        description="99 of 100 answers to one row are to be faster in the rehearsal, HTTP left out; no limit by default",
    )
    maximum_memory_mb: float | None = Field(
        None, gt=0, description="largest memory of a process with the model in the rehearsal; no limit by default"
    )
    maximum_growth: float = Field(
        2.0, gt=1, description="how many times the champion's latency, memory and cold start a candidate may take, for sure"
    )
    maximum_training_growth: float | None = Field(
        None,
        gt=1,
        description="how many times the CPU time of the champion's training a candidate's may take; early stopping alone may "
        "double it; no limit by default",
    )
    maximum_flips: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of logged rows that may be decided otherwise than by the champion; no limit by default",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of every interval")
    minimum_rows: int = Field(500, ge=1, description="with fewer test rows the verdict is: not assessable")
    maximum_age_days: int = Field(7, ge=1, description="the newest labelled row may be this old")
    approval: Literal["auto", "manual"] = Field(
        "manual", description="manual: a person is asked in Airflow before anything moves"
    )
    approval_hours: int = Field(72, ge=1, description="how long a person may take to answer; after that the answer is no")
    approvers: tuple[str, ...] = Field((), description="Airflow users who may answer; everybody who may edit DAG runs by default")
    manual_moves: Literal["restore", "follow"] = Field(
        "restore",
        description="an alias champion moved by hand to a version that the gate did not let through: put back or obeyed",
    )


class Guardrails(Section):
    """What a challenger may not do while it is tried; beyond one of them the service goes back by itself."""

    errors: float = Field(0.01, gt=0, lt=1, description="share of requests that it cannot answer and the other version can")
    latency: float = Field(2.0, ge=1, description="its p99 relative to that of the other version, scoring time per request")
    latency_ms: float = Field(5.0, ge=0, description="and at least so much slower, milliseconds: less than that nobody minds")
    distribution: float = Field(
        0.4, gt=0, le=1, description="distance of its scores from the other version's on the same traffic: Jensen-Shannon, 0 to 1"
    )
    flips: float = Field(0.2, gt=0, lt=1, description="share of requests that the two decide otherwise, by their first row")
    cost: float = Field(
        0.05, gt=0, description="what its decisions may cost more, once labels come, per decision in units of [success] cost"
    )
    false_alarms: float = Field(
        0.001, gt=0, lt=0.5, description="chance, at most, that a rollout is stopped by a guardrail that holds, for each of them"
    )


class Ab(Section):
    """The test between two versions on what their decisions cost; it may be looked at any time."""

    share: float = Field(0.5, gt=0, lt=1, description="of entities that the challenger answers")
    hours: float = Field(168.0, gt=0, description="longest time; it ends sooner when the difference is plain")
    level: float = Field(0.05, gt=0, lt=0.5, description="chance, at most, of telling two equal versions apart")


class Serving(Section):
    """How a new champion takes over."""

    rollout: Literal["direct", "shadow", "canary", "ab"] = Field(
        "direct",
        description="loaded beside the old one, verified, then swapped at once; or it first looks on, answers a growing share, "
        "or is compared by what its decisions cost: shadow, canary, ab",
    )
    steps: tuple[float, ...] = Field(
        (0.05, 0.25), min_length=1, description="canary: shares before it answers all; 0: it looks on first"
    )
    hold_minutes: float = Field(30.0, ge=0, description="shortest time of a step")
    step_requests: int = Field(200, ge=0, description="requests that the challenger must have scored in a step")
    step_hours: float = Field(24.0, gt=0, description="longest time of a step that gets fewer requests; then it goes on")
    guardrails: Guardrails = Guardrails()
    ab: Ab = Ab()
    tolerance: float = Field(1e-5, gt=0, description="largest difference between served and evaluated score of the example")
    targets: tuple[Target, ...] = Field(
        ("litert",),
        description="exports beside the SavedModel; the service runs litert, which is like it to 1e-5, with a fifteenth of the "
        "memory. litert_float16, litert_int8 (dynamic range), litert_int8_full and litert_pruned are smaller and answer a little "
        "otherwise; onnx is what a browser runs",
    )
    export_tolerance: float = Field(
        0.1,
        gt=0,
        description="largest difference of a quantised or pruned export from the SavedModel on any test row, in probability or "
        "in standard deviations of the label; others are held to 1e-5",
    )
    pruned_share: float = Field(0.3, gt=0, lt=1, description="litert_pruned: share of the dense layers' weights that is left out")
    sample: float = Field(1.0, ge=0, le=1, description="share of requests that the request log keeps, whole requests at a time")

    @model_validator(mode="after")
    def _steps_rise(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or not 0 <= self.steps[0] <= self.steps[-1] < 1:
            raise ValueError(f"serving.steps = {list(self.steps)}: write rising shares from 0 to below 1, as [0.05, 0.25]")
        return self
