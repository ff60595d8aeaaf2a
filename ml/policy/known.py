"""What a night knows before it decides whether to train, and what it decides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from ml.problem import Memory

DECIDED = "decided"  # kind of ledger entries
Rule = Literal[
    "first", "never", "unchanged", "drift", "edited", "nightly", "weekly", "longest", "too soon", "too little", "gain",
    "no gain", "given", "no drift", "not assessable", "budget",
]  # fmt: skip


@dataclass(frozen=True)
class Option:
    """A window that a training could learn from, as a cheap model judged it on days that it had not seen.

    Attributes:
        start: its first day.
        better, error: how much better than the first option, with the standard error over days; 0 for the first itself.
        gain: how much better than a model of the champion's own rows, metric units, positive is better; None: unknown.
        share: the same as a share of that model's remaining error, its distance from a perfect one.
        p_value: of a gain as high as this when there is none, one-sided.
    """

    memory: Memory
    start: date
    better: float = 0.0
    error: float = 0.0
    gain: float | None = None
    share: float = 0.0
    p_value: float = 1.0


@dataclass(frozen=True)
class Look:
    """A comparison of windows on the newest labelled days before those that will judge the candidate; `num_days` judged."""

    options: tuple[Option, ...]
    num_days: int
    why_not: str = ""

    @property
    def best(self) -> Option | None:
        """The first option unless another is better by more than a standard error, then the best of those.

        So noise does not lengthen a training: the one-standard-error rule (Breiman et al. 1984, section 3.4.3).
        """
        if not self.options:
            return None
        clear = [option for option in self.options if option.better > option.error]
        return max(clear, key=lambda option: option.better, default=self.options[0])


@dataclass(frozen=True)
class Known:
    """What is known at the moment a night decides; days are those of the problem's time zone.

    Attributes:
        today: the day of the night.
        changed: whether the labelled rows are others than the last verdict was about.
        trained_on: day of the last training that was judged, promoted or not; None before the first.
        serving: whether there is a champion.
        num_learned: labelled rows that the last training had, those that judged it included.
        num_new: labelled rows of later days, since the last training or the last look, whichever is later.
        num_given: labels that people and programs gave since the last training.
        drifted: kinds of the monitor's verdicts that say drift, from windows after the last training.
        asked: why a retrain is due in the work table: drift that hurts, days that people took out.
        edited: sections of the problem file that are not as the last training had them.
        minutes_spent: of training in the 30 days up to now; minutes_needed: what one more would take.
        look: the comparison of windows, when there was one.
    """

    today: date
    changed: bool = True
    trained_on: date | None = None
    serving: bool = False
    num_learned: int = 0
    num_new: int = 0
    num_given: int = 0
    drifted: frozenset[str] = frozenset()
    asked: Sequence[str] = ()
    edited: Sequence[str] = ()
    minutes_spent: float = 0.0
    minutes_needed: float = 0.0
    look: Look | None = None

    @property
    def days_since(self) -> int:
        """Days since the last training, 0 when there was none."""
        return (self.today - self.trained_on).days if self.trained_on else 0


@dataclass(frozen=True)
class Decision:
    """Whether to train, by which rule, and why in words.

    Attributes:
        memory, start: the window to learn from and its first day; None: the newest [split] train_days.
    """

    train: bool
    rule: Rule
    why: str
    memory: Memory | None = None
    start: date | None = None

    def from_best(self, look: Look | None) -> "Decision":
        """The same decision, learning from the best window of a comparison where there was one."""
        best = look.best if look and self.train else None
        return replace(self, memory=best.memory, start=best.start) if best else self
