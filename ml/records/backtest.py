"""What a backtest found out about every policy."""

from datetime import date

from pydantic import Field

from ml.records.evaluation import Interval
from ml.records.record import Record


class Ground(Record):
    """On what ground a policy trained or did not, how often, and what it said the last time."""

    stage = "backtest"
    rule: str
    trained: bool
    num_nights: int
    words: str


class PolicyOutcome(Record):
    """One policy over the whole span."""

    stage = "backtest"
    policy: str
    quality: Interval = Field(description="live success metric, mean over the pieces of the span")
    over_never: Interval | None = Field(None, description="paired gain over never retraining; positive is better")
    over_nightly: Interval | None = Field(None, description="paired gain over retraining every night; positive is better")
    over_time: tuple[float | None, ...] = Field(description="the metric of every piece; None where nothing could be judged")
    num_nights: int
    num_trained: int
    num_promoted: int
    num_failed: int = Field(description="nights that could not train or judge; the champion stayed")
    train_minutes: float = Field(description="of all trainings, as if each had been made for this policy alone")
    decide_minutes: float = Field(description="spent on deciding, such as choosing a window")
    num_alarms: int | None = Field(
        None, description="nights on which drift asked for a training or brought one; None: it is not looked at"
    )
    num_false_alarms: int | None = Field(
        None, description="of those, the ones whose fresh model was no better than the one it was to replace on the days after"
    )
    grounds: tuple[Ground, ...] = Field((), description="the most frequent first")

    @property
    def minutes(self) -> float:
        """What the policy costs."""
        return self.train_minutes + self.decide_minutes


class Backtested(Record):
    """Retraining policies side by side on one's own past."""

    stage = "backtest"
    start: date
    end: date
    every: int
    share: float = Field(description="of the keys that were replayed")
    history: str = Field(description="where the past is from")
    metric: str
    num_rows: int = Field(description="answers with a label that every policy gave")
    piece_days: int = Field(description="days of a piece: the unit that quality is measured in and intervals are over")
    pieces: tuple[date, ...] = Field(description="first day of every piece")
    policies: tuple[PolicyOutcome, ...]
    recommended: str
    sentence: str

    def of(self, policy: str) -> PolicyOutcome | None:
        """What is known of one policy."""
        return next((one for one in self.policies if one.policy == policy), None)
