"""What goes over the wire, for the documentation page and for bodies that are read."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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


class Said(BaseModel):
    """What somebody tells about one answered row: that the answer is right, that it is wrong, or what is right."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    request_id: str | None = Field(None, min_length=1, max_length=200, description="of the answer; or say the row's `key`")
    position: int = Field(0, ge=0, lt=10_000, description="of the row in its request, from 0")
    key: str | int | None = Field(None, description="the row's name, as it was asked with")
    verdict: Literal["right", "wrong"] | None = Field(None, description="on the answer; or say the `label`")
    label: Any = Field(
        None,
        description="the right answer: true or false, a class, a number; of several outputs an object with all of them, "
        "or the list of the labels that hold",
    )
    kind: Literal["feedback", "outcome"] = Field(
        "feedback", description="feedback: a person says so; outcome: a program tells what happened"
    )
    by: str = Field("", max_length=200, description="who says so; by default the client whose key is used")
    id: str | None = Field(None, min_length=1, max_length=200, description="your name of this; sent again, it counts once")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if self.request_id is None and self.key is None:
            raise ValueError("say which row is meant, by request_id or key")
        if (self.verdict is None) == (self.label is None):
            raise ValueError("say either a verdict or the label")
        return self


class Feedback(BaseModel):
    """What is told about answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    feedback: list[Said] = Field(min_length=1, max_length=10_000, description="one object per answered row")


class Taken(BaseModel):
    """Feedback that was kept."""

    problem: str
    taken: int
    ids: list[str] = Field(description="names of what was told, in its order")


class Failure(BaseModel):
    """What every answer other than 2xx holds."""

    error: str = Field(description="what happened, what was expected, what to do")
