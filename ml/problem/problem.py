"""A whole problem file, and what its sections ask of each other. A key that is no field here is an error."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ml.problem.data import REDACTABLE, Contract, Feature, Privacy, Retention, Source, Validation
from ml.problem.model import Drift, Gate, Serving, Split, Success, Training
from ml.problem.section import IDENTIFIER, Section


class About(Section):
    """Who asks what."""

    name: str = Field(pattern=IDENTIFIER, max_length=40, description="lower case, digits and _; names DAGs, tables, the model")
    title: str = Field(description="the question in a few words, for people")
    task: Literal["binary"] = Field(description="binary: a sigmoid, trained on binary cross-entropy")
    owner: str = Field(description="who answers for it")
    description: str = Field("", description="what the prediction is used for")
    positive: str = Field("yes", description="what a positive label means, as in '23 % of flights are <late>'")
    rows: str = Field("rows", description="what a row is, in the plural, as in '920 <flights> a day'")


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
