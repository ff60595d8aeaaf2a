"""What a worker holds of a problem: loaded versions, and which of them answers."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from ml.redaction import Redactor
from ml.requests import Request
from ml.scoring import Scorer
from ml.serving.batch import Batcher
from ml.serving.rows import Decoder
from ml.serving.schemas import Version, Wanted
from ml.serving.shared import Origin
from ml.serving.trial import Trial


@dataclass(frozen=True, eq=False)
class Model:
    """One loaded version. A request holds on to one of these from its first row to its last.

    `learned` does to the rows of a request what was done to those the model learned from; `kept` what the problem asks of
    everything that is stored, which may have changed since.
    """

    id: Version
    scorer: Scorer
    origin: Origin
    since: datetime
    learned: Redactor
    kept: Redactor

    @cached_property
    def decoder(self) -> Decoder:
        """Reads bodies for its columns."""
        return Decoder(self.scorer.columns)

    @cached_property
    def batcher(self) -> Batcher:
        """Puts rows of several requests into one call."""
        return Batcher(self.scorer.score_rows)

    def hidden(self, request: Request, key: str) -> Request:
        """What the request log may hold of a request; `key` is the column that its keys are values of."""
        rules = self.kept.rules
        rows = request.rows if rules == self.learned.rules else [self.kept.row(row) for row in request.rows]
        return replace(request, rows=rows, keys=[self.kept.value(key, one) for one in request.keys]) if rules else request


@dataclass(frozen=True)
class State:
    """What answers now; what did before, for an instant way back; a challenger, and whom its trial lets it answer."""

    current: Model | None = None
    previous: Model | None = None
    challenger: Model | None = None
    trial: Trial | None = None

    @property
    def wanted(self) -> Wanted:
        """The same as one document."""
        version, previous = (model and model.id for model in (self.current, self.previous))
        return Wanted(version=version, previous=previous, plan=self.trial and self.trial.plan)

    def drops(self, after: "State") -> bool:
        """Whether a model is held here and not there."""
        held, kept = ({id(m.scorer) for m in (one.current, one.previous, one.challenger) if m} for one in (self, after))
        return not held <= kept

    @property
    def loaded(self) -> list[Model]:
        """What may be asked for by number, the live one first; nothing once the live one was withdrawn."""
        asked = (self.current, self.previous, self.challenger)
        return [model for model in asked if model is not None] if self.current else []
