"""The section about a champion in use: when served data or answers differ enough to act, and how rarely to be wrong."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ml.problem.section import Section

KINDS_OF_ALARM = (
    6  # schema, data (hurting is of data, too), prediction, estimate, concept, skew: each may use up its part of the false alarms
)


class Drift(Section):
    """When served data or answers differ enough to act."""

    window_days: int = Field(1, ge=1, description="days of requests looked at")
    label_days: int = Field(7, ge=1, description="days of answered requests whose labels are looked at")
    false_alarms: float = Field(1.0, gt=0, description="alarms without a cause that may be expected in `false_alarm_days`")
    false_alarm_days: int = Field(90, ge=1, description="days that may have so many of them")
    minimum_rows: int = Field(200, ge=1, description="with fewer rows the verdict is: not assessable")
    effect: float = Field(0.2, gt=0, description="smallest shift that counts: Jensen-Shannon distance, 0 to 1")
    columns_share: float = Field(0.0, ge=0, le=1, description="share of columns that must shift to call it data drift; 0: one")
    quality_drop: float = Field(0.05, gt=0, description="loss of live quality against the evaluation that counts, metric units")
    rate_gap: float = Field(
        0.08,
        gt=0,
        description="gap between predicted and observed mean that counts: in probability, of numbers in their deviations",
    )
    late_labels: float = Field(
        0.2, gt=0, le=1, description="share of labels that is missing at the age at which it used to be there, and counts"
    )
    defects: float = Field(
        0.1,
        gt=0,
        le=1,
        description="share of a column's values that are newly missing, never learned or out of range, and counts",
    )
    skew: float = Field(
        0.02, gt=0, le=1, description="share of a column's served values that may differ from the table's values of the same keys"
    )
    at_stake: float = Field(
        0.25,
        gt=0,
        le=1,
        description="share of what the champion is better by than a constant answer that moved columns may put at stake; beyond "
        "it the drift hurts",
    )
    persistence: int = Field(
        1, ge=1, description="days in a row of drift before anything is done; live quality looks back over label_days itself"
    )
    cooldown_days: int = Field(7, ge=0, description="days before drift may ask for another retrain")
    rollback: bool = Field(
        False, description="go back by itself where live quality is too low and the champion before does better on the same rows"
    )
    retrain_on: tuple[Literal["data", "prediction", "estimate", "hurting", "concept"], ...] = Field(
        ("concept", "hurting"), description="what asks for a retrain; hurting: moved columns that matter to the champion"
    )

    @property
    def level(self) -> float:
        """How likely one kind of finding may raise a false alarm on one day.

        Expectations add up, however much days and kinds hang together: with this much for each kind on each day, at most
        `false_alarms` are expected in `false_alarm_days`. Persistence only makes them rarer, so nothing is given for it.
        """
        return self.false_alarms / self.false_alarm_days / KINDS_OF_ALARM

    @property
    def confidence(self) -> float:
        """What an interval of one kind of finding must have on one day."""
        return 1 - self.level

    @model_validator(mode="after")
    def _a_budget_that_can_be_kept(self) -> Self:
        if self.false_alarms > self.false_alarm_days:
            raise ValueError(
                f"false_alarms = {self.false_alarms:g} in false_alarm_days = {self.false_alarm_days} is more than one a day. "
                "Allow fewer, over more days"
            )
        return self
