"""Stage between evaluate and gate: candidate and champion answer what was asked lately, before the candidate meets traffic."""

from ml.rehearse.stage import run

__all__ = ["run"]
