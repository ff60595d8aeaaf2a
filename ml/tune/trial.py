"""One trial: settings, and what the folds said of them."""

from typing import Any, Literal

from pydantic import Field

from ml.records import FoldScores, Record


class Trial(Record):
    """Settings of [training] that were tried, over those of the problem."""

    stage = "tune"
    number: int
    kind: Literal["present", "ladder", "search"]
    values: dict[str, Any]
    scores: FoldScores | None = Field(description="None: it failed or took too long")
    failure: str = ""
    seconds: float

    def overfits(self, factor: float) -> bool:
        """Whether the validation loss rose again while the training went on."""
        losses = self.scores.history["val_loss"] if self.scores else []
        return bool(losses) and losses[-1] > factor * min(losses)
