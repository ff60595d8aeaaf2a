"""The section about searching better settings: what may vary, for how long, and when."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ml.problem.section import Section

Setting = Literal["layers", "embedding", "dropout", "l1", "l2", "learning_rate", "batch_size"]


class Range(Section):
    """What one setting may be: one of some choices, or a number between two others."""

    choices: tuple[int | float | tuple[int, ...], ...] = Field((), description="values to choose from")
    low: float | None = Field(None, description="smallest number")
    high: float | None = Field(None, description="largest number")
    log: bool = Field(False, description="look on a logarithmic scale, for settings that range over powers of ten")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        numbers = (self.low, self.high)
        if bool(self.choices) == (None not in numbers) or (None in numbers) != (numbers == (None, None)):
            raise ValueError("tune.vary: write either choices = [...], or low and high")
        if self.low is not None and self.high is not None and not (0 if self.log else -1) < self.low < self.high:
            raise ValueError(f"tune.vary: low = {self.low:g} must be below high = {self.high:g}, and above 0 with log")
        return self


USUAL: dict[Setting, Range] = {
    "layers": Range(choices=((16,), (32,), (64, 32), (128, 64))),
    "embedding": Range(choices=(4, 8, 16)),
    "dropout": Range(low=0.0, high=0.6),
    "l2": Range(low=1e-7, high=1e-1, log=True),
    "learning_rate": Range(low=5e-4, high=1e-2, log=True),
}


class Tune(Section):
    """A search for better settings; it is judged by the folds of [split] protocol and never sees the test part."""

    nightly: bool = Field(False, description="search before every training; otherwise only when somebody asks")
    first: bool = Field(False, description="search before the trainings of a new problem: as long as it has no champion")
    trials: int = Field(20, ge=1, description="most settings tried, the present ones among them")
    budget_minutes: float = Field(20, gt=0, description="longest time for all trials together, minutes")
    ladder: bool = Field(False, description="first grow the network until it overfits, then restrain it")
    seed: int = Field(1, ge=0, description="same seed and rows: the same settings are tried")
    vary: dict[Setting, Range] = Field(
        USUAL,
        min_length=1,
        description="settings of [training], each with { choices = [...] } or { low = ..., high = ..., log = true }",
    )
