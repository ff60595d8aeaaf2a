"""What goes over the wire, for the documentation page and for bodies that are read."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Version(BaseModel):
    """Which trained model: its number in the registry, the run that trained it, and the sha256 of its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: int = Field(ge=1, description="version in the registry")
    run_key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$", description="run that trained it; names its folder")
    model_digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="sha256 over the files of the model's folder")


class Plan(BaseModel):
    """A challenger beside the version that serves: which requests it answers, or that it only looks on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str = Field(min_length=1, max_length=200, description="names the rollout; the same through all its steps")
    mode: Literal["shadow", "canary", "ab"] = Field(description="what it is for")
    challenger: Version
    share: float = Field(ge=0, le=1, description="of entities whose requests the challenger answers; 0: it only looks on")
    step: int = Field(0, ge=0, description="which step of the rollout; counts begin anew with each")

    @property
    def salt(self) -> str:
        """Divides entities alike in all steps, and otherwise in the next rollout."""
        return self.id


class Trying(BaseModel):
    """A plan, and the version it is tried beside."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Version
    plan: Plan


class Stopped(BaseModel):
    """A plan that the service ended by itself, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    plan: str = Field(description="id of the plan")
    why: str
    at: datetime


class Wanted(BaseModel):
    """What a problem should answer with: one JSON document, the same for every process of the service.

    `previous` is kept loaded for the way back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Version | None
    previous: Version | None = None
    plan: Plan | None = None


class Question(BaseModel):
    """Rows to score."""

    rows: list[dict[str, Any]] = Field(
        description="one object per row: every column of the model (null says missing) and, if you like, `key`, "
        "your own name of the row, which comes back with the answer and finds its label later"
    )


class Prediction(BaseModel):
    """One answer."""

    key: str | None = Field(description="as sent, as text")
    score: float | None = Field(description="probability of a yes, or the number; of several probabilities the largest")
    decision: bool | str | list[str] | None = Field(
        description="whether the score reaches the model's threshold; the class; the labels that hold; null for numbers"
    )
    scores: dict[str, float] | None = Field(None, description="every output by name, where there are several")


class Answer(BaseModel):
    """Answers in the order of the rows, all from one version."""

    problem: str
    version: int
    request_id: str = Field(description="names this request in the request log")
    predictions: list[Prediction]


class Failure(BaseModel):
    """What every answer other than 2xx holds."""

    error: str = Field(description="what happened, what was expected, what to do")
