"""Decisions and moves, append-only and hash-chained, and the work that is due. The ledger leads; aliases follow."""

from ml.ledger.entry import GENESIS, MOVES, Champion, Entry, Move
from ml.ledger.ledger import About, Ledger
from ml.ledger.work import Work

__all__ = ["GENESIS", "MOVES", "About", "Champion", "Entry", "Ledger", "Move", "Work"]
