"""Rows that broke a rule, and what people decide about them: looked at, released after a fix, or discarded for good."""

from ml.quarantine.decisions import Asked, discard
from ml.quarantine.held import Choice, Held, digests, held, past
from ml.quarantine.releasing import Judge, release

__all__ = ["Asked", "Choice", "Held", "Judge", "digests", "discard", "held", "past", "release"]
