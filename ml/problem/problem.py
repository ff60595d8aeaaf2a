"""A whole problem file, and what its sections ask of each other. A key that is no field here is an error."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ml.problem.alerts import Alerts
from ml.problem.data import REDACTABLE, Contract, Feature, Privacy, Retention, Source, Validation
from ml.problem.drift import Drift
from ml.problem.feedback import Feedback
from ml.problem.model import Gate, Serving, Split, Success, Training
from ml.problem.retraining import Retraining
from ml.problem.section import IDENTIFIER, Section
from ml.problem.task import TASKS, Task
from ml.problem.tune import Tune


class About(Section):
    """Who asks what."""

    name: str = Field(pattern=IDENTIFIER, max_length=40, description="lower case, digits and _; names DAGs, tables, the model")
    title: str = Field(description="the question in a few words, for people")
    task: Literal["binary", "multiclass", "multilabel", "regression", "vector_regression"] = Field(
        description="yes or no; one class of several; several yes or no; a number; several numbers"
    )
    classes: tuple[str, ...] = Field((), description="multiclass: every value the label may have, in the order of the answers")
    owner: str = Field(description="who answers for it")
    description: str = Field("", description="what the prediction is used for")
    positive: str = Field("yes", description="what a positive label means, as in '23 % of flights are <late>'")
    rows: str = Field("rows", description="what a row is, in the plural, as in '920 <flights> a day'")


class Schedule(Section):
    """When the night begins."""

    retrain: str = Field("0 3 * * *", description="cron, in the source's time zone")
    monitor: str = Field("30 5 * * *", description="cron, in the source's time zone")
    feedback: str = Field("0 2 * * *", description="cron, in the source's time zone; before the night that learns from it")
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
    tune: Tune = Tune()
    success: Success = Success()
    gate: Gate = Gate()
    drift: Drift = Drift()
    retraining: Retraining = Retraining()
    serving: Serving = Serving()
    feedback: Feedback = Feedback()
    schedule: Schedule = Schedule()
    alerts: Alerts = Alerts()

    @property
    def task(self) -> Task:
        """What the kind of question asks of labels, network and judgement."""
        return TASKS[self.problem.task]

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a model answers, in order: the label, or every class, or every label column."""
        return self.problem.classes if self.problem.task == "multiclass" else self.source.labels

    @property
    def name(self) -> str:
        """Names the DAGs, the registered model and the folder in the store."""
        return self.problem.name

    @model_validator(mode="after")
    def _training_fits(self) -> Self:
        if self.training.class_weights == "balanced" and self.task.activation == "linear":
            raise ValueError(f"training.class_weights: a {self.problem.task} has no classes to weigh; take the line out")
        return self

    @model_validator(mode="before")
    @classmethod
    def _usual_metric(cls, content: Any) -> Any:
        """Where the file names no metric it is the first one of the task; a task that does not exist is told elsewhere."""
        told = content if isinstance(content, dict) else {}
        about, success = told.get("problem", {}), told.get("success", {})
        task = TASKS.get(about.get("task", "")) if isinstance(about, dict) and isinstance(success, dict) else None
        return content if task is None else {**content, "success": {"metric": task.metrics[0], **success}}

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        leaks = sorted(set(self.features) & (set(self.leakage) | {*self.source.labels, self.source.label_time}))
        if leaks:
            raise ValueError(f"features.{leaks[0]}: the column is the label or named under [leakage]; remove it from one side")
        source = self.source
        reserved = {"key", source.key, *filter(None, [source.available_at, source.deleted, source.updated_at])}
        bad = sorted(name for name in self.features if name in reserved or name.startswith("_"))
        if bad:
            raise ValueError(
                f"features.{bad[0]}: this name is taken: key, [source] key, available_at, deleted, updated_at, and _names"
            )
        for key, names in (("slices", self.success.slices), ("protected", self.success.protected)):
            strange = sorted(set(names) - set(self.features))
            if strange:
                raise ValueError(f"success.{key}: {strange[0]!r} is not one of the features {sorted(self.features)}")
        return self

    @model_validator(mode="after")
    def _task_fits(self) -> Self:
        kind, task, labels = self.problem.task, self.task, self.source.label
        if isinstance(labels, tuple) != task.several:
            raise ValueError(
                f"source.label: task = {kind!r} needs {'a list of columns' if task.several else 'one column, no list'}"
            )
        if (kind == "multiclass") != bool(self.problem.classes):
            raise ValueError(
                f"problem.classes: multiclass needs the values of {labels!r}, other tasks have none; task = {kind!r}"
            )
        if self.problem.classes and len(set(self.problem.classes)) < max(2, len(self.problem.classes)):
            raise ValueError(f"problem.classes: {list(self.problem.classes)} must be at least two different values")
        strange = sorted({self.success.metric, *self.gate.floors} - {None, *task.metrics}, key=str)
        if strange:
            raise ValueError(
                f"success.metric, gate.floors: {strange[0]!r} does not fit task = {kind!r}; write one of {task.metrics}"
            )
        return self

    @model_validator(mode="after")
    def _group_is_read(self) -> Self:
        group, known = self.split.group, {*self.features, self.privacy.subject}
        if group is not None and group not in known:
            raise ValueError(
                f"split.group: {group!r} is not read; write a feature or [privacy] subject: {sorted(filter(None, known))}"
            )
        return self

    @model_validator(mode="after")
    def _baselines_fit(self) -> Self:
        success = self.success
        strange = sorted(set(success.entity) - set(self.features))
        if strange:
            raise ValueError(f"success.entity: {strange[0]!r} is not one of the features {sorted(self.features)}")
        if "median" in success.baselines and self.task.label != "number":
            raise ValueError("success.must_beat, success.beside: 'median' is for labels that are numbers; write 'prior'")
        if "last" in success.baselines and not success.entity:
            raise ValueError(
                "success.entity: the baseline 'last' repeats the last known label of an entity, and no feature is said to name "
                "one; write entity = [...], or take 'last' out of must_beat and beside"
            )
        return self

    @model_validator(mode="after")
    def _privacy_fits(self) -> Self:
        source, subject = self.source, self.privacy.subject
        others = {source.event_time, *source.labels, source.label_time, source.available_at, source.deleted, source.updated_at}
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
