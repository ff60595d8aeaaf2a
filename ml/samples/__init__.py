"""Real histories to try the system on: each is played, day by day, into a production table of its own."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ml import problem as problems
from ml.errors import ConfigError
from ml.samples import complaints, flights, replay
from ml.samples.replay import Advanced, Sample
from ml.settings import PROJECT

__all__ = ["SAMPLES", "Advanced", "advance", "first_night", "load", "rows"]

SAMPLES = {sample.name: sample for sample in (flights.SAMPLE, complaints.SAMPLE)}


def load(problem: str, url: str, data: Path | str | None = None) -> int:
    """Put a history into the database, whole or not at all, with an empty production table beside it.

    Args:
        problem: `flights` or `complaints`.
        url: the production database, as the owner of the table (the pipeline itself only reads).
        data: where the complaints are: a folder, a CSV file or its address; flights need none.
    Returns: number of rows of the history.
    Raises:
        ConfigError: no sample of that name, or nothing at `data`.
        DataError: `data` holds something that cannot be read, with file, column and value.
    """
    return replay.load(_sample(problem), url, data)


def advance(problem: str, url: str, to: datetime) -> Advanced:
    """Move the production table, forward or back, to what was known at `to`; the same moment twice changes nothing.

    Raises: ConfigError: `to` has no offset, or the history was not loaded.
    """
    return replay.advance(_sample(problem), url, to)


def rows(problem: str, url: str, start: datetime, end: datetime, *, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """What a client of the prediction service sends about the events from `start` up to, not including, `end`.

    Args:
        columns: the features sent beside the key, by default those of the problem file that comes with the project.
    """
    sample = _sample(problem)
    names = list(problems.load(problem, PROJECT / "ml" / "problems").features) if columns is None else columns
    return replay.rows(sample, url, (start, end), names)


def first_night(problem: str, url: str | None = None) -> date:
    """The first night with enough labelled history behind it to train and judge a model.

    Args:
        url: where the history was loaded; needed for a CSV, whose years may be others than the extracts'.
    """
    sample = _sample(problem)
    return sample.first_night if url is None else replay.first_night(sample, url)


def _sample(problem: str) -> Sample:
    if problem not in SAMPLES:
        raise ConfigError(f"There is no sample history for {problem!r}. There is one for: {', '.join(sorted(SAMPLES))}.")
    return SAMPLES[problem]
