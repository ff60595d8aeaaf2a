"""When to retrain, and from how much of the past: pure, so that a night and a replay of the past decide alike."""

from ml.policy.decide import decide, must_look
from ml.policy.known import DECIDED, Decision, Known, Look, Option

__all__ = ["DECIDED", "Decision", "Known", "Look", "Option", "decide", "must_look"]
