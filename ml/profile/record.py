"""The profile of a column and of a batch: small, frozen, JSON."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["number", "category", "boolean", "datetime", "text"]
GRID = (0.0, 0.01, *(step / 20 for step in range(1, 20)), 0.99, 1.0)  # shares that quantiles are given for: 23 numbers
TOP = 200  # values listed with their counts
SKETCH = 256  # smallest hashes kept, so that the distinct values of days can be added up


class ColumnProfile(BaseModel):
    """One column. Exact: rows, nulls, extremes, mean, and all counts of categories and booleans.

    From a sample (8,192 to 16,384 rows, all rows of a smaller batch): quantiles other than 0 and 100 %, hours,
    weekdays, lengths, marks, shapes and the listed values of numbers, with counts scaled up to all rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    arrow: str = Field(description="Arrow's name of the type")
    num_rows: int
    num_null: int
    distinct: int = Field(description="different values; exact up to 10,000, then within about 2 % (6 % after `merge`)")
    sketch: tuple[int, ...] = Field(
        (), description="the smallest 256 hashes of values, for `merge`; none of texts: they may name people"
    )
    num_days: int = Field(0, description="days with enough values to speak of; the next two are about these")
    day_nulls: tuple[float, float] | None = Field(None, description="lowest and highest share of nulls and NaN of a day")
    day_medians: tuple[float, float] | None = Field(None, description="number: lowest and highest median of a day")
    values: dict[str, int] = Field({}, description="the 200 most frequent values with their counts; not for texts")
    quantiles: tuple[float, ...] | None = Field(None, description="number: finite values at the shares of GRID")
    mean: float | None = Field(None, description="number: of the finite values")
    std: float | None = Field(None, description="number: population standard deviation of the finite values")
    num_zero: int = 0
    num_negative: int = 0
    num_nan: int = 0
    num_inf: int = 0
    whole: bool = Field(False, description="number: every finite value is an integer")
    hours: tuple[int, ...] = Field((), description="datetime: 24 counts, by the hour of the day in the problem's zone")
    weekdays: tuple[int, ...] = Field((), description="datetime: 7 counts from Monday on, in the problem's zone")
    first: datetime | None = None
    last: datetime | None = None
    gaps: tuple[float, ...] | None = Field(None, description="datetime: minutes after the event time, at the shares of GRID")
    lengths: tuple[float, ...] | None = Field(None, description="text: characters, at the shares of GRID")
    marks: dict[str, float] = Field({}, description="text: share of texts that are empty, padded, upper, lower, html, mojibake")
    shapes: dict[str, int] = Field({}, description="text: 20 most frequent forms, such as 9-9-9 A9 A of 2013-01-31 UA15 EWR")

    @property
    def num_present(self) -> int:
        """Rows that are not null; NaN is present."""
        return self.num_rows - self.num_null

    @property
    def null_share(self) -> float:
        """Share of rows without a value, NaN among them; 0 when there are no rows."""
        return (self.num_null + self.num_nan) / self.num_rows if self.num_rows else 0.0


class Profile(BaseModel):
    """A batch of rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_rows: int
    columns: dict[str, ColumnProfile]
