"""What the rehearsal finds out before a candidate meets traffic: other answers, other speed, other needs."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from ml.records.record import Record


class Performance(Record):
    """One model alone in a process, as it was measured in turns with the other one."""

    stage = "rehearse"
    core: str = Field(description="what computes the answers, `savedmodel` for one")
    row_ms: float = Field(description="median time of an answer to one row")
    row_p99_ms: float = Field(description="one row in a hundred takes longer; median over the turns")
    batch_ms: float = Field(description="median time of an answer to `batch_rows` rows")
    start_s: float = Field(
        description="from the start of its process to its first answer; where it looked slow, the quickest start"
    )
    memory_mb: float = Field(description="resident memory of its process after all answers")
    size_mb: float = Field(description="all files of its folder")


class Growth(Record):
    """How many times as much the candidate takes as the champion."""

    stage = "rehearse"
    measure: str = Field(description="field of Performance")
    candidate: float
    champion: float
    times: float = Field(description="median over the turns of the ratio within a turn")
    at_least: float = Field(description="the ratio is above this for sure (99 %); of what is measured once, the ratio itself")


class Difference(Record):
    """Candidate less champion on the same rows; with several outputs the output that differs most counts for a row."""

    stage = "rehearse"
    num_rows: int = Field(description="rows that both answer")
    mean: float = Field(description="signed; near 0 when rises and falls cancel out")
    absolute: float = Field(description="mean of the sizes")
    p99: float = Field(description="one row in a hundred differs by more")
    largest: float
    flips: int | None = Field(description="rows that are decided otherwise; None for numbers, which decide nothing")
    changes: dict[str, int] = Field({}, description="flips by what was said and is said now: `from no to yes`")


class Changed(Record):
    """A row that would be answered otherwise, for people to look at."""

    stage = "rehearse"
    key: str | None
    candidate: str
    champion: str
    row: dict[str, str]


class Effort(Record):
    """What a training took, as its own record has it."""

    stage = "rehearse"
    seconds: float = Field(description="of the whole stage, on the clock of a machine that may have been busy")
    cpu_seconds: float | None = Field(None, description="of all epochs")
    row_epochs: int | None = Field(None, description="rows times epochs that this was for")
    machine: str = Field("", description="CPU type")


class Efforts(Record):
    """The candidate's training beside the champion's, each measured in its own night."""

    stage = "rehearse"
    candidate: Effort
    champion: Effort | None = None
    problem: str = Field("", description="why there is a champion and the CPU time of its training is not compared")

    @property
    def times(self) -> float | None:
        """How many times the champion's CPU time; None where it is not compared."""
        mine, theirs = self.candidate.cpu_seconds, self.champion.cpu_seconds if self.champion else None
        return mine / theirs if mine is not None and theirs else None

    @property
    def work(self) -> float | None:
        """How many times as many rows times epochs; what `times` is beyond it, a row in an epoch costs."""
        mine, theirs = self.candidate.row_epochs, self.champion.row_epochs if self.champion else None
        return mine / theirs if mine and theirs else None


class Rehearsed(Record):
    """Candidate and champion on what was asked lately, and how much each of them takes."""

    stage = "rehearse"
    model_digest: str = Field(description="of the candidate that was rehearsed")
    asked: Literal["requests", "test rows"] = Field(description="where the rows are from")
    why: str = Field("", description="why they are not logged requests")
    num_rows: int
    first: datetime | None = Field(None, description="when the oldest of the requests was answered")
    last: datetime | None = None
    batch_rows: int
    fresh: bool = Field(description="True: new processes, all imports included; False: forks that had TensorFlow in memory")

    added: tuple[str, ...] = Field((), description="columns that callers must send from now on")
    dropped: tuple[str, ...] = Field((), description="columns that callers must not send any more")
    num_unfit: int = Field(0, description="rows that lack a column of the candidate, so it was not asked about them")
    num_refused: int = Field(0, description="rows that the champion answers and the candidate does not")
    refusal: str = Field("", description="what the candidate said to the first of them")
    unlike_log: float | None = Field(
        None, description="largest difference between what the champion answers now and what the log says it answered"
    )

    candidate: Performance
    champion: Performance | None = None
    champion_version: int | None = None
    champion_problem: str = Field("", description="why there is a champion and it was not rehearsed")
    growth: tuple[Growth, ...] = ()
    training: Efforts | None = Field(None, description="None: rehearsed before it was compared")
    difference: Difference | None = None
    examples: tuple[Changed, ...] = Field((), description="rows that changed most, where the problem lets single rows be shown")
    seconds: float

    @property
    def sentence(self) -> str:
        """The outcome in one line."""
        rows = f"{self.num_rows:,} {'logged' if self.asked == 'requests' else 'test'} rows"
        mine = f"one row {self.candidate.row_ms:.3g} ms, {self.candidate.memory_mb:.0f} MB"
        if self.champion is None or self.difference is None:
            return f"{rows}, {mine}; {self.champion_problem or 'there is no champion yet'}"
        theirs = f"champion {self.champion.row_ms:.3g} ms, {self.champion.memory_mb:.0f} MB"
        flips = "" if self.difference.flips is None else f", {self.difference.flips:,} decided otherwise"
        refused = f", {self.num_refused:,} refused" if self.num_refused else ""
        return f"{rows}: answers differ by {self.difference.absolute:.4g} on average{flips}{refused}; {mine}, {theirs}"


class Step(Record):
    """A moment of the load test: so many connections, each asking again as soon as it is answered."""

    stage = "load"
    connections: int
    per_second: float = Field(description="answered requests")
    p50_ms: float
    p99_ms: float
    busy: int = Field(0, description="answers 503, by which the service says that it has enough to do")
    failed: int = Field(0, description="any other answer but 200, and lost connections")


class Load(Record):
    """One version in a service of its own under growing load."""

    stage = "load"
    start_s: float = Field(description="from the start of the service to its first answer")
    memory_mb: float = Field(description="all processes of the service, after the load")
    steps: tuple[Step, ...]
    batch: Step = Field(description="`batch_rows` rows a request, over as many connections as the knee")
    knee: int = Field(description="fewest connections that bring nine tenths of the highest rate; more only wait longer")


class Loaded(Record):
    """The load test of a run's candidate, beside the champion's."""

    stage = "load"
    batch_rows: int
    candidate: Load
    champion: Load | None = None
    champion_version: int | None = None
