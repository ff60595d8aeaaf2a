"""What an evaluation finds out about a candidate, beside champion and baselines."""

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

from pydantic import Field, model_validator

from ml.records.record import Record


class Interval(Record):
    """An estimate with its bootstrap interval."""

    stage = "evaluate"
    value: float
    low: float
    high: float
    error: float | None = Field(None, description="bootstrap standard error, wide enough for the number of blocks")
    freedom: int | None = Field(None, description="independent blocks (days, or rows where days are few) less one")


class Scores(Record):
    """Quality of one model on some rows."""

    stage = "evaluate"
    metrics: dict[str, Interval]
    slices: dict[str, Interval] = Field({}, description="the success metric per `column=value`; intervals over rows")


class Reference(Record):
    """Candidate and champion on the frozen reference rows, from which no model learns."""

    stage = "evaluate"
    name: str = Field(description="of the frozen set: the run that froze it")
    num_rows: int
    first: date
    last: date
    rows_digest: str
    candidate: Scores
    baselines: dict[str, Scores] = Field({}, description="the simple models on the same rows, by name; not the last known value")
    champion: Scores | None = None
    gain_over_champion: Interval | None = None
    champion_problem: str = Field("", description="why the champion was not compared there")


class Effect(Record):
    """What one feature is worth: the loss of the success metric on a sample of test rows without it."""

    stage = "evaluate"
    feature: str
    shuffled: float = Field(description="loss when its values are dealt out anew (permutation importance)")
    missing: float = Field(description="loss when it is missing in every row")
    moved: float = Field(description="share of rows that would be decided otherwise when it is missing")


class Gap(Record):
    """How differently the groups of a protected column are served."""

    stage = "evaluate"
    column: str
    measure: str = Field(description="found share of positives, share of right answers, or mean error")
    gap: Interval = Field(description="largest less smallest over groups with enough rows")
    best: str
    worst: str


class Example(Record):
    """One row, for people to look at."""

    stage = "evaluate"
    kind: Literal["error", "flip"]
    key: str
    day: date
    label: str
    candidate: str
    champion: str = ""
    row: dict[str, str]


class Evaluated(Record):
    """Candidate, champion and baselines on the same rows."""

    stage = "evaluate"
    task: str = "binary"
    rows_digest: str = Field("", description="of the snapshot whose test part was judged on")
    valid_version: int | None = Field(None, description="version of `valid` that the rows and their labels are from")
    num_rows: int
    days: int = Field(description="days the test rows cover")
    newest_label: date
    positive_rate: float = Field(description="mean of the first output")
    resampled: Literal["days", "rows"] = Field("rows", description="what bootstrap repetitions draw; rows where days are few")

    candidate: Scores
    baselines: dict[str, Scores] = Field({}, description="the simple models on the same rows, by name")
    champion: Scores | None
    champion_version: int | None
    champion_problem: str = Field("", description="why a champion could not be compared; empty when it was, or there is none")
    gains_over: dict[str, Interval] = Field({}, description="paired gain over each baseline; more is better")
    gain_over_champion: Interval | None = Field(description="paired, in the direction where more is better")
    naive: float | None = Field(None, description="the success metric of the best constant answer on these rows")
    slice_gains: dict[str, Interval] = Field(description="paired gain over the champion per slice with enough rows")
    slice_rows: dict[str, int]

    threshold: float = Field(
        0.5, description="of the first output: the cheapest score to say yes from, under the problem's costs, on validation rows"
    )
    thresholds: tuple[float, ...] = Field((), description="one per output that is a yes or no")
    confusion: dict[str, int] = Field({}, description="of a yes or no: true_, false_positive and true_, false_negative")
    confusions: dict[str, dict[str, int]] = Field({}, description="the same per output, class or label")
    misses: dict[str, dict[str, float]] = Field({}, description="of numbers, per output: mean, half and nine_in_ten of the error")
    costs: dict[str, float] = Field({}, description="per row: `chosen` threshold, `cheapest` on these rows, `always`, `never`")
    cheapest: float | None = Field(None, description="threshold that would have been cheapest on these rows")
    flips: int = Field(description="test rows where candidate and champion decide differently")
    calibration_error: float
    calibration_slope: Interval | None = Field(None, description="1 is right; below it the model is over-confident")
    gaps: tuple[Gap, ...] = ()
    effects: tuple[Effect, ...] = ()
    reference: Reference | None = None
    examples: tuple[Example, ...] = Field((), description="worst errors and flips, where the problem lets single rows be shown")

    learned_until: date | None = Field(None, description="newest day the candidate learned from")
    stale_rows: bool = Field(False, description="the candidate learned from another snapshot than the one it is judged on")
    num_seen: int = Field(0, description="test rows that the candidate learned from, by key or as copies")
    spread: float | None = Field(None, description="standard deviation of the candidate's scores over the rows")
    example_difference: float | None = Field(
        None, description="between the exported model's answers to its example and training's; of large numbers the share"
    )
    size_mb: float | None = None
    uses: int = Field(1, description="models that were judged on these very rows, this one included, as the ledger says")

    def hardest(self, names: Iterable[str]) -> str:
        """Of some baselines the one that the candidate is least ahead of."""
        return min(names, key=lambda name: self.gains_over[name].value)

    @model_validator(mode="before")
    @classmethod
    def _as_now(cls, content: Any) -> Any:
        """Evaluations of earlier versions had one baseline, and room for a latency that nobody measured."""
        if isinstance(content, dict) and "latency_ms" in content:
            content = {name: value for name, value in content.items() if name != "latency_ms"}
        if isinstance(content, dict) and "baseline" in content:
            kept = {name: value for name, value in content.items() if name not in ("baseline", "gain_over_baseline")}
            one = {"baselines": {"baseline": content["baseline"]}, "gains_over": {"baseline": content["gain_over_baseline"]}}
            return {**one, **kept}
        return content
