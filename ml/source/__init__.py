"""Reading production: the declared columns of the window's days, typed as the problem file says."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime

from ml.problem import Problem
from ml.source import files, postgres
from ml.source.common import ARROW, Rows, columns
from ml.window import Window

__all__ = ["ARROW", "Rows", "columns", "read"]


def read(
    url: str,
    problem: Problem,
    window: Window,
    *,
    now: datetime,
    also: Mapping[str, str] | None = None,
    since: datetime | None = None,
) -> AbstractContextManager[Rows]:
    """Rows of the window that were known at `now`; what became known later (a row, a label) is not seen.

    The source's types are known at once. Whether they fit, and all else, comes while the batches are read.

    Args:
        url: of the database, where [source] kind = "postgres".
        also: further columns with their types, read where the source still has them so.
        since: when the source was read last; rows of days before the window that became known after it are counted.
    Raises:
        DataError: table, file or column missing, another type than declared, or rows that no day can be given.
        ConfigError: the source refuses this user. TransientError: it is away.
    """
    if problem.source.kind == "postgres":
        return postgres.read(url, problem, window, now=now, also=also, since=since)
    return files.read(problem, window, now=now, also=also, since=since)
