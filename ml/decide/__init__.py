"""Between validate and prepare: does this night train, and from which days? Every answer has a reason and stays in the ledger."""

from ml.decide.stage import run, skipped

__all__ = ["run", "skipped"]
