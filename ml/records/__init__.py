"""The nouns: small frozen records that stages hand on, each a JSON file of its run and a plain dict over XCom."""

from datetime import date
from typing import Any, Literal

from pydantic import Field

from ml.records.decision import Compared, Decided
from ml.records.evaluation import (
    Effect,
    Evaluated,
    Example,
    Gap,
    Interval,
    Reference,
    Scores,
)
from ml.records.export import Exported
from ml.records.feedback import Fed, Queued
from ml.records.monitoring import Action, DriftFinding, Monitored, MonitoredDay
from ml.records.notified import Swept
from ml.records.record import Record
from ml.records.rehearsal import Changed, Difference, Effort, Efforts, Growth, Load, Loaded, Performance, Rehearsed, Step
from ml.records.search import FoldScores, Tuned
from ml.records.verdict import Rule, Verdict
from ml.window import Window

__all__ = [
    "Action", "Answer", "Changed", "Compared", "Decided", "Deployed", "Difference", "DriftFinding", "Effect", "Effort",
    "Efforts", "Evaluated", "Example", "Exported", "Fed", "FoldScores", "Followed", "Gap", "Growth", "Ingested", "Interval",
    "Load", "Loaded", "Monitored", "MonitoredDay", "Part", "Performance", "Prepared", "Promoted", "Question", "Queued",
    "Record", "Reference", "Registered", "Rehearsed", "RollingOut", "Rule", "RuleResult", "Scores", "Step", "Swept", "Trained",
    "Tuned", "Vacuumed", "Validated", "Verdict",
]  # fmt: skip


class Ingested(Record):
    """Rows of the window now in `raw`."""

    stage = "ingest"
    start: date
    end: date
    version: int = Field(description="version of the Delta table `raw`")
    num_rows: int
    num_rows_by_day: dict[str, int]
    changed: bool = Field(description="False when these are exactly the rows that the last verdict was about")
    days_changed: tuple[date, ...] = Field((), description="days whose rows in `raw` are others than before")
    num_deleted: int = Field(0, description="rows left out because the source marks them as deleted")
    num_erased: int = Field(0, description="rows left out because their person was erased")
    num_redacted: dict[str, int] = Field({}, description="values hidden, hashed or removed per column")
    num_late: int = Field(0, description="rows of days before the window that became known since the last night; not read")

    @property
    def window(self) -> Window:
        """The days that were read."""
        return Window(self.start, self.end)


class RuleResult(Record):
    """One expectation: how many rows or what value broke it."""

    stage = "validate"
    rule: str
    kind: Literal["row", "table"]
    severity: Literal["critical", "warning"]
    holds: bool
    num_broken: int
    share: float = Field(0.0, description="of the rows, that broke a row rule")
    observed: str
    why: str


class Validated(Record):
    """valid + quarantined = ingested, to the row."""

    stage = "validate"
    start: date
    end: date
    version: int = Field(description="version of the Delta table `valid`")
    raw_version: int | None = Field(None, description="version of `raw` that was read")
    quarantine_version: int | None = Field(None, description="version of the Delta table `quarantine`")
    num_ingested: int
    num_valid: int
    num_quarantined: int
    rules: tuple[RuleResult, ...]

    @property
    def window(self) -> Window:
        """The days that were validated."""
        return Window(self.start, self.end)


class Part(Record):
    """One part of the split."""

    stage = "prepare"
    first: date
    last: date
    num_rows: int
    positive_rate: float = Field(description="mean of the first output: of a yes or no, the share of yes")
    means: dict[str, float] = Field({}, description="per output its share or mean; empty for a single yes or no")


class Prepared(Record):
    """The snapshot: which rows teach, stop and judge."""

    stage = "prepare"
    valid_version: int
    labels_version: int | None = Field(None, description="version of the table `labels`; None: no label was given by then")
    num_given: dict[str, int] = Field({}, description="rows with a given label in the place of the source's, by where it is from")
    num_unlabelled: int = Field(description="rows of the period without a label yet; they wait, they are not lost")
    excluded: tuple[date, ...] = Field((), description="days that people took out, as of this run")
    num_excluded: int = Field(0, description="rows of those days that were left out")
    set_aside: dict[str, int] = Field({}, description="rows left out because they lie in a gap, or in a group that is divided")
    num_folds: int = Field(1, description="how many times rows before the test part judge: the protocol's validation scores")
    num_superseded: int = Field(0, description="older rows of a key that stands on a later day too; the newest one counts")
    train: Part
    validation: Part
    test: Part
    rows_digest: str = Field(description="sha256 of the snapshot; equal digests mean equal rows in equal parts")


class Trained(Record):
    """A model in the run's folder."""

    stage = "train"
    model_digest: str = Field(description="sha256 over the exported model's files")
    rows_digest: str = Field("", description="of the snapshot it learned from")
    num_parameters: int
    epochs: int
    best_epoch: int
    validation_loss: float
    training: dict[str, Any] = Field({}, description="the settings it was trained with, also where a search chose them")
    protocol: FoldScores | None = Field(None, description="validation score and its noise")
    export_difference: float = Field(
        description="largest difference between exported and trained answers to raw rows; of numbers in standard deviations"
    )
    exports: tuple[Exported, ...] = Field((), description="the other forms of the model, the SavedModel first")
    started: str = Field("", description="what the first weights were")
    began_from: str = Field("", description="run key of the champion whose weights it began with; empty: random ones")
    epsilon: float | None = Field(
        None, description="differential privacy of the weights, per row, beside `delta`; None: they were learned without noise"
    )
    delta: float | None = None
    made_on: dict[str, str] = Field(
        {}, description="CPU type, threads, versions, digest of the lock: the same gives the same bits"
    )
    seconds: float = Field(description="of the whole stage on the clock; after a kill only of the last try")
    cpu_seconds: float | None = Field(
        None, description="CPU time of the epochs, all threads, fits and tries together; None: trained before it was measured"
    )
    row_epochs: int | None = Field(None, description="rows times epochs that this CPU time was for, all fits together")


class Registered(Record):
    """A version in the MLflow registry."""

    stage = "register"
    version: int | None = Field(description="None when the verdict was no, or the run was a dry one")
    mlflow_run_id: str
    url: str
    made_by: dict[str, str] = Field({}, description="code_version, and problem_digest of the problem file as it was understood")


class Question(Record):
    """What a person is asked to approve, to the byte."""

    stage = "approve"
    version: int
    run_key: str
    model_digest: str
    verdict_digest: str = Field(description="of the verdict that let it through, and of the model it is about")
    expected: int | None = Field(description="the champion it was compared with")


class Answer(Record):
    """What a person said; nobody did when `by` is empty."""

    stage = "approve"
    approved: bool
    by: str = ""
    comment: str = ""


class Followed(Record):
    """What became of the alias `champion` that somebody moved by hand."""

    stage = "follow"
    obeyed: bool = Field(description="False: the alias was put back")
    found: int | None = Field(description="where the alias stood; None when it was deleted")
    champion: int
    why: str


class Promoted(Record):
    """A move of the champion."""

    stage = "promote"
    version: int
    previous: int | None
    run_key: str


class Deployed(Record):
    """What the service answers with, as it answered."""

    stage = "deploy"
    version: int
    url: str
    request: dict[str, object]
    answer: dict[str, object]
    expected_score: float | list[float]


class RollingOut(Record):
    """A new champion on its way into service: how far it is, and when to look again."""

    stage = "rollout"
    version: int
    previous: int = Field(description="the version that answers all others meanwhile, and everybody again if this one fails")
    mode: str
    step: int = Field(description="counted from 1")
    num_steps: int
    share: float = Field(description="of entities that the new version answers; 0: it looks on")
    requests: int = Field(description="that it has scored in this step")
    held: bool = Field(description="whether a person asked to wait")
    waits_for: str
    outcome: str = Field("", description="what decisions cost, where labels have come")
    check_after_s: float

    @property
    def sentence(self) -> str:
        """In one line."""
        doing = f"answers {self.share:.0%}" if self.share else "looks on"
        where = f"step {self.step} of {self.num_steps}" if self.num_steps > 1 else self.mode
        outcome = f" {self.outcome}." if self.outcome else ""
        return (
            f"version {self.version} {doing} beside {self.previous} ({where}, {self.requests:,} requests); "
            f"{'held by hand' if self.held else f'waits for {self.waits_for}'}.{outcome}"
        )


class Vacuumed(Record):
    """Old files of the tables that are gone."""

    stage = "vacuum"
    dry_run: bool
    num_files: dict[str, int] = Field(description="removed files per table; in a dry run those that would go")
    files: dict[str, tuple[str, ...]]
    pinned: dict[str, tuple[int, ...]] = Field(description="versions per table that registered models were made from; they stay")

    @property
    def sentence(self) -> str:
        """What went, in one line."""
        told = ", ".join(f"{count:,} of {table}" for table, count in self.num_files.items() if count)
        return f"{'would remove ' if self.dry_run else 'removed '}{told or 'nothing'}"
