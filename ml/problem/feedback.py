"""The section about labels that people and programs give, beside those of the source."""

from typing import Literal

from pydantic import Field

from ml.problem.section import Section

Origin = Literal["labelling", "feedback", "outcome"]


class Feedback(Section):
    """Which given labels count, when they are waited for in vain, and which rows people are asked about."""

    learn_from: tuple[Origin, ...] = Field(
        ("labelling", "feedback", "outcome"),
        description="given labels that teach and judge: of people who were asked, of people who told the service, of programs "
        "that told it what happened",
    )
    wait_days: int = Field(
        7, ge=0, description="days that feedback may wait for the request or row it is about; then it is dropped"
    )
    unmatched_share: float = Field(
        0.05, ge=0, le=1, description="share of feedback that waits in vain above which the DAG feedback fails"
    )
    minimum_rows: int = Field(20, ge=1, description="with less feedback nothing is said about the unmatched share")
    queue_rows: int = Field(50, ge=1, description="rows that people are asked about, per run")
    queue_days: int = Field(7, ge=1, description="days of answered requests that these rows are chosen from")
    audit_share: float = Field(
        0.2, gt=0, le=1, description="share of these rows that chance chooses, so that quality is estimated without bias"
    )
