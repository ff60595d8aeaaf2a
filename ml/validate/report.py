"""`validation.json`: everything a person may ask about a validation, written before the stage says no."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ml.context import Context
from ml.errors import DataError
from ml.records import RuleResult
from ml.validate.history import HistoryOutcome, Level
from ml.validate.judge import Outcome
from ml.validate.usual import Reading

log = logging.getLogger(__name__)
NAME = "validation.json"
READINGS = 20
ROWS = 20  # rows set aside that are shown


@dataclass
class Report:
    """Grows while the stage goes on; written when it ends, well or not."""

    context: Context
    content: dict[str, Any]
    results: list[RuleResult] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)

    def add(self, result: RuleResult, entry: dict[str, Any]) -> None:
        """Take what one rule found in."""
        self.results.append(result)
        self.rules.append(entry)
        if not result.holds:
            log.warning("validate: %s %s broke: %s", result.severity, result.rule, result.observed)

    @contextmanager
    def written(self) -> Iterator[None]:
        """Write the file at the end of the block; when it ends in a no, with the reason."""
        refused = ""
        try:
            yield
        except DataError as error:
            refused = str(error)
            raise
        finally:
            self.content |= {"refused": refused, "rules": self.rules}
            self.context.store.write_json(self.context.name(NAME), self.content)


def of_suite(outcome: Outcome) -> dict[str, Any]:
    """One rule of the suite."""
    return _rule(outcome.result, "suite") | {
        "column": ", ".join(outcome.columns) or None,
        "expected": outcome.expected,
        "examples": [plain(one) for one in outcome.examples],
    }


def of_window(result: RuleResult) -> dict[str, Any]:
    """The rule about empty days."""
    return _rule(result, "window") | {"expected": "rows on every day"}


def of_history(outcome: HistoryOutcome) -> dict[str, Any]:
    """One rule from history, with its columns and days, the worst first."""
    worst = outcome.readings[0][0].column if outcome.readings else None
    return _rule(outcome.result, "history") | {
        "column": worst if not outcome.result.holds else None,
        "expected": outcome.expected,
        "assessable": outcome.assessable,
        "trailing": [_reading(*one) for one in outcome.readings[:READINGS]],
    }


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return plain(value.item()) if hasattr(value, "item") else str(value)


def _rule(result: RuleResult, origin: str) -> dict[str, Any]:
    empty: dict[str, Sequence[Any]] = {"examples": [], "trailing": []}
    return {"origin": origin, "column": None, "assessable": True} | result.model_dump(mode="json") | empty


def _reading(reading: Reading, level: Level | None, sentence: str) -> dict[str, Any]:
    return {
        "column": reading.column,
        "day": str(reading.day),
        "value": reading.value,
        "low": reading.low,
        "high": reading.high,
        "unit": reading.unit,
        "days": [str(day) for day in reading.days],
        "values": list(reading.values),
        "level": level,
        "holds": level is None,
        "sentence": sentence,
    }
