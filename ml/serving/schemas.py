"""What goes over the wire, for the documentation page and for bodies that are read."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Version(BaseModel):
    """Which trained model: its number in the registry, the run that trained it, and the sha256 of its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: int = Field(ge=1, description="version in the registry")
    run_key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$", description="run that trained it; names its folder")
    model_digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="sha256 over the files of the model's folder")


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
