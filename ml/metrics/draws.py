"""Bootstrap repetitions: which rows each of them drew, whole days at a time where there are days enough.

Rows of one day belong together: a storm delays them all. Drawing single rows would take a stormy day for a hundred
independent findings and make intervals far too narrow, so whole days are drawn (the block bootstrap; Cameron, Gelbach and
Miller 2008 for few blocks).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Blocks = npt.NDArray[np.int64]
Resampled = Literal["days", "rows"]
REPETITIONS = 1000
FEWEST_DAYS = 5  # with fewer, draws of days say next to nothing, and single rows are drawn
CHUNK = 4_000_000  # weights held at once: 32 MB


@dataclass(frozen=True)
class Weights:
    """Some repetitions: `counts` says how often each block was drawn, shape (r, blocks); `blocks` whose rows are whose, (n,)."""

    counts: Floats
    blocks: Blocks

    @classmethod
    def of_rows(cls, weights: Floats) -> "Weights":
        """Weights of single rows, shape (r, n)."""
        return cls(weights, np.arange(weights.shape[1]))

    @cached_property
    def rows(self) -> Floats:
        """Weight of every row, shape (r, n)."""
        return self.counts[:, self.blocks]

    def sums(self, values: Floats) -> Floats:
        """Weighted sums of a value per row, shape (r,)."""
        return self.counts @ np.bincount(self.blocks, values, minlength=self.counts.shape[1])

    def means(self, values: Floats) -> Floats:
        """Weighted means of a value per row, shape (r,); NaN where nothing was drawn."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.sums(values) / self.sums(np.ones(len(values)))


@dataclass(frozen=True)
class Draws:
    """Repetitions over some rows; the same draws for whatever is computed from them, so models are compared pairwise."""

    blocks: Blocks
    by: Resampled
    seed: int = 0
    repetitions: int = REPETITIONS

    @classmethod
    def over(
        cls, days: Sequence[str] | npt.NDArray[Any] | None, size: int, *, seed: int = 0, repetitions: int = REPETITIONS
    ) -> "Draws":
        """Draw whole days, or single rows when there are fewer than FEWEST_DAYS of them or no days are given."""
        if days is not None:
            names, blocks = np.unique(np.asarray(days, dtype=str), return_inverse=True)
            if len(names) >= FEWEST_DAYS:
                return cls(blocks.astype(np.int64), "days", seed, repetitions)
        return cls(np.arange(size), "rows", seed, repetitions)

    @property
    def num_blocks(self) -> int:
        """How many blocks hold rows; what an interval knows is as much as that many independent findings."""
        return len(np.unique(self.blocks))

    def weights(self) -> Iterator[Weights]:
        """All repetitions, a few at a time; the same seed draws the same."""
        size = int(self.blocks.max()) + 1 if len(self.blocks) else 0
        generator, step = np.random.default_rng(self.seed), max(1, CHUNK // max(len(self.blocks), 1))
        for start in range(0, self.repetitions, step):
            some = min(step, self.repetitions - start)
            draws = generator.integers(0, max(size, 1), (some, size)) + size * np.arange(some)[:, None]
            counts = np.bincount(draws.ravel(), minlength=some * size).reshape(some, size)
            yield Weights(counts.astype(np.float64), self.blocks)
