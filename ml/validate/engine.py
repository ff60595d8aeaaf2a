"""Great Expectations on a data frame: yes or no first, the rows behind a no second.

The batch of a data source is fingerprinted whole at every question (12 of 15 seconds for a million rows, docs/adr/0006), so the
frame goes straight into Great Expectations' own engine, and only with the columns that the rules are about.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ml.errors import DataError
from ml.validate.rules import Rule, arguments

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.validator.validator import Validator

Positions = npt.NDArray[np.int64]
EXAMPLES = 5
DETAILED = {
    "result_format": "COMPLETE",
    "partial_unexpected_count": EXAMPLES,
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
}


@dataclass(frozen=True)
class Found:
    """One rule on one frame: the index of the rows that broke a row rule, or what a table rule saw."""

    holds: bool
    rows: Positions
    observed: Any = None
    examples: tuple[Any, ...] = ()


def check(frame: "pd.DataFrame", rules: Sequence[Rule]) -> list[Found]:
    """Judge a frame by rules about its columns.

    Args:
        frame: its index names the rows, each once.
    Raises: DataError: a rule cannot be computed, or fails without naming a row.
    """
    with _asking(frame) as validator:
        verdicts = _ask(validator, rules, "BOOLEAN_ONLY" if rules[0].kind == "row" else "BASIC")
        failed = [number for number, verdict in enumerate(verdicts) if not verdict.success and rules[number].kind == "row"]
        details = _ask(validator, [rules[number] for number in failed], DETAILED) if failed else []
    for rule, verdict in zip([*rules, *(rules[number] for number in failed)], [*verdicts, *details], strict=True):
        _refuse_crash(rule, verdict)
    told = dict(zip(failed, details, strict=True))
    return [_found(rule, told.get(number, verdict)) for number, (rule, verdict) in enumerate(zip(rules, verdicts, strict=True))]


def _found(rule: Rule, verdict: Any) -> Found:
    if rule.kind == "table":
        return Found(bool(verdict.success), np.array([], np.int64), observed=verdict.result.get("observed_value"))
    if verdict.success:
        return Found(True, np.array([], np.int64))
    rows = np.unique(np.asarray(verdict.result.get("unexpected_index_list") or [], np.int64))
    examples = tuple((verdict.result.get("partial_unexpected_list") or [])[:EXAMPLES])
    if not len(rows):
        raise DataError(f"{rule.name} failed but named no row; rows cannot be quarantined without it. Observed: {examples}.")
    return Found(False, rows, examples=examples)


def _ask(validator: "Validator", rules: Sequence[Rule], how: str | dict[str, Any]) -> list[Any]:
    """One pass over all rules, which share what they compute; answers in the order of the rules."""
    with np.errstate(all="ignore"):  # infinities and nothing at all make numpy warn; what comes out fails the rule
        answers = validator.graph_validate(
            configurations=[rule.configuration for rule in rules], runtime_configuration={"result_format": how}
        )
    by_rule = {_identity(answer.expectation_config): answer for answer in answers}
    return [by_rule[_identity(rule.configuration)] for rule in rules]


@contextmanager
def _asking(frame: "pd.DataFrame") -> Iterator["Validator"]:
    """A validator over a frame that lets go of the frame at the end; by itself it would wait for the garbage collector."""
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    engine = PandasExecutionEngine()
    engine.load_batch_data("batch", frame)
    try:
        yield Validator(execution_engine=engine, data_context=_quiet())
    finally:
        engine.batch_manager.batch_data_cache.clear()


@cache
def _quiet() -> Any:
    """A context that keeps nothing and draws no progress bars."""
    import great_expectations as gx

    # This one sets its own level, to tell of temporary folders that nobody asked about.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    return context


def _refuse_crash(rule: Rule, verdict: Any) -> None:
    """A rule that could not be computed must not pass for a rule that failed, nor for one that held."""
    info = verdict.exception_info or {}
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry.get("raised_exception"):
            raise DataError(
                f"{rule.name} could not be computed: {entry.get('exception_message')}. "
                "Look whether the column still has the type that the rule expects."
            )


def _identity(config: Any) -> str:
    """What tells a rule from every other of its suite."""
    return json.dumps([config.type, str(config.severity), config.meta.get("why"), arguments(config)], sort_keys=True, default=str)
