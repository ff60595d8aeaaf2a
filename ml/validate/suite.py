"""Expectation suites: loaded whole or refused."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.errors import ConfigError
from ml.validate.judge import Outcome as Outcome
from ml.validate.judge import judge as judge
from ml.validate.rules import is_row_rule

if TYPE_CHECKING:
    import great_expectations as gx

KEYS = {"type", "kwargs", "severity", "meta", "notes", "description", "id"}


def load(path: Path) -> "gx.ExpectationSuite":
    """Read a suite; Great Expectations drops what it does not understand, so what it kept is counted.

    Raises: ConfigError: no such file, no JSON, a rule without `meta.why`, an unknown type, severity or argument, a rule that
        cannot be computed on rows in memory, or no rule at all.
    """
    import great_expectations as gx

    if not path.is_file():
        raise ConfigError(f"There is no expectation suite {path}. Write one; `expectations/flights.raw.json` is an example.")
    try:
        content = json.loads(path.read_text())
        for rule in content["expectations"]:
            _check(rule, path)
        suite = gx.ExpectationSuite(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is no expectation suite: {error!r}. Expected name and expectations, each with type, "
            "kwargs, severity and meta.why."
        ) from error
    if not suite.expectations:
        raise ConfigError(f"{path} holds no rule, so every row would pass. Write at least one expectation.")
    if len(suite.expectations) != len(content["expectations"]):
        raise ConfigError(
            f"{path} lists {len(content['expectations'])} rules but {len(suite.expectations)} were understood; "
            "two of them are equal. Remove one."
        )
    return suite


def _check(rule: dict[str, Any], path: Path) -> None:
    """Build one rule by itself, so that the rule at fault is named."""
    from great_expectations.exceptions import ExpectationNotFoundError, InvalidExpectationConfigurationError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    told = f"{path}: {rule['type']} {rule.get('kwargs')}"
    if strange := sorted(set(rule) - KEYS):
        raise ConfigError(f"{told} has the key {strange[0]!r}, which would be ignored. Use {', '.join(sorted(KEYS))}.")
    if not (rule.get("meta") or {}).get("why"):
        raise ConfigError(f"{told} has no meta.why. Say in a sentence why the rule holds.")
    if rule.get("severity") not in ("critical", "warning"):
        raise ConfigError(f"{told} has severity {rule.get('severity')!r}. Use critical or warning.")
    if "$PARAMETER" in json.dumps(rule["kwargs"]):
        raise ConfigError(f"{told} has a $PARAMETER, and nothing gives it a value. Write the value.")
    try:
        built = ExpectationConfiguration(**rule).to_domain_obj()
    except (ExpectationNotFoundError, InvalidExpectationConfigurationError, ValueError, TypeError) as error:
        raise ConfigError(f"{told} is not understood: {error}") from error
    if is_row_rule(built) and rule["kwargs"].get("mostly", 1) != 1:
        raise ConfigError(
            f"{told} judges row by row, so `mostly` would let bad rows pass. "
            "Remove it, or use a rule about the column, such as "
            "expect_column_proportion_of_non_null_values_to_be_between."
        )
    if rule["type"] == "expect_table_row_count_to_equal_other_table":
        raise ConfigError(f"{told} compares with a table that is not there when rows are judged. Use another rule.")
    if missing := _not_computable(built):
        raise ConfigError(f"{told} needs {missing}, which Great Expectations has only for databases. Use another rule.")


def _not_computable(built: Any) -> str | None:
    """The first thing a rule needs that Great Expectations cannot compute on rows in memory."""
    from great_expectations.exceptions import MetricProviderError
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.registry import get_metric_provider

    needed = [f"{built.map_metric}.unexpected_count"] if getattr(built, "map_metric", None) else built.metric_dependencies
    for name in needed or ():
        try:
            get_metric_provider(metric_name=name, execution_engine=PandasExecutionEngine())
        except MetricProviderError:
            return str(name)
    return None
