"""A first expectation suite from history: every rule says what it saw, and a person decides."""

from ml.draft.propose import propose, written
from ml.draft.seen import Seen

__all__ = ["Seen", "propose", "written"]
