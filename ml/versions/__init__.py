"""Versions of the tables: their history, what changed between two, their rows as a file, and which may go."""

from ml.versions.checkout import checkout
from ml.versions.compare import Diff, compare
from ml.versions.contents import Contents, contents, in_short
from ml.versions.log import Line, log
from ml.versions.names import TABLES, Ref, every_day, resolve
from ml.versions.page import page
from ml.versions.vacuum import vacuum
from ml.versions.words import sentences

__all__ = [
    "TABLES",
    "Contents",
    "Diff",
    "Line",
    "Ref",
    "checkout",
    "compare",
    "contents",
    "every_day",
    "in_short",
    "log",
    "page",
    "resolve",
    "sentences",
    "vacuum",
]
