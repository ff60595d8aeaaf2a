"""The request log: every answered row, as it was asked and as it was answered; a table in PostgreSQL, and files on the way.

What people told about the answers stands beside it, see `requests.feedback`.
"""

from ml.requests.files import append as append_batch
from ml.requests.files import texts
from ml.requests.record import SCHEMA, SHADOW, Answered, Logged, Request, lines, scores_of, several_of, typed
from ml.requests.spool import Numbers, Spool
from ml.requests.table import about, answered, append, append_lines, find, newest, read, rows_of, share_lock

__all__ = [
    "SCHEMA",
    "SHADOW",
    "Answered",
    "Logged",
    "Numbers",
    "Request",
    "Spool",
    "about",
    "answered",
    "append",
    "append_batch",
    "append_lines",
    "find",
    "lines",
    "newest",
    "read",
    "rows_of",
    "scores_of",
    "several_of",
    "share_lock",
    "texts",
    "typed",
]
