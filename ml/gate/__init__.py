"""Stage 6: may the candidate replace the champion? A pure function of the evaluation and the policy."""

from ml.gate.decide import decide
from ml.gate.spending import Look, level
from ml.gate.stage import run

__all__ = ["Look", "decide", "level", "run"]
