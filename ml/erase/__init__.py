"""Erasure of a person: out of every table, file, page and log of a problem, proven by a search, kept out from then on."""

from ml.erase.files import purge
from ml.erase.records import Erased, Place, Touched
from ml.erase.stage import run

__all__ = ["Erased", "Place", "Touched", "purge", "run"]
