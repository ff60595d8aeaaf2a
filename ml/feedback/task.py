"""A row that people are asked about, and the rows that were chosen together."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Task(BaseModel):
    """One row with what was answered, and why it is asked about."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    key: str
    request_id: str
    position: int
    served_at: datetime
    row: dict[str, Any]
    answer: dict[str, Any] = Field(description="score and decision, with several outputs scores by name")
    why: str
    probability: float = Field(gt=0, le=1, description="that it would be asked about; 1 for what was not left to chance")


class Batch(BaseModel):
    """Rows that were chosen together, from so many."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    made_at: datetime
    version: int
    num_candidates: int
    tasks: tuple[Task, ...]
