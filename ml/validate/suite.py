"""Expectation suites: loaded whole or refused, run in two passes, the cheap one first."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ml.errors import ConfigError, DataError
from ml.records import RuleResult

if TYPE_CHECKING:
    import great_expectations as gx

ROW = "_row"  # position of a row in its batch: unique, also when the key is not
EXAMPLES = 5


@dataclass(frozen=True)
class Outcome:
    """One rule on one batch; `rows` are the positions of the rows that broke a row rule."""

    result: RuleResult
    rows: tuple[int, ...]


def load(path: Path) -> "gx.ExpectationSuite":
    """Read a suite; Great Expectations drops what it does not understand, so what it kept is counted.

    Raises: ConfigError: no such file, no JSON, a rule without `meta.why`, an unknown type, severity or argument.
    """
    import great_expectations as gx

    if not path.is_file():
        raise ConfigError(f"There is no expectation suite {path}. Write one; `expectations/flights.raw.json` is an example.")
    try:
        content = json.loads(path.read_text())
        for rule in content["expectations"]:
            _check(rule, path)
        suite = gx.ExpectationSuite(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is no expectation suite: {error!r}. Expected name and expectations, each with type, "
            "kwargs, severity and meta.why."
        ) from error
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

    kind = rule["type"]
    if not (rule.get("meta") or {}).get("why"):
        raise ConfigError(f"{path}: {kind} {rule.get('kwargs')} has no meta.why. Say in a sentence why the rule holds.")
    if rule.get("severity") not in ("critical", "warning"):
        raise ConfigError(f"{path}: {kind} {rule.get('kwargs')} has severity {rule.get('severity')!r}. Use critical or warning.")
    try:
        built = ExpectationConfiguration(**rule).to_domain_obj()
    except (ExpectationNotFoundError, InvalidExpectationConfigurationError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {kind} {rule.get('kwargs')} is not understood: {error}") from error
    if is_row_rule(built) and rule["kwargs"].get("mostly", 1) != 1:
        raise ConfigError(
            f"{path}: {kind} {rule['kwargs']} judges row by row, so `mostly` would let bad rows pass. "
            "Remove it, or use a rule about the column, such as "
            "expect_column_proportion_of_non_null_values_to_be_between."
        )


def is_row_rule(expectation: "gx.expectations.Expectation") -> bool:
    """Whether a rule judges rows (they can be quarantined) or the batch as a whole."""
    from great_expectations.expectations import expectation as kinds

    maps = (kinds.ColumnMapExpectation, kinds.ColumnPairMapExpectation, kinds.MulticolumnMapExpectation)
    return isinstance(expectation, maps)


def judge(rows: pa.Table, suite: "gx.ExpectationSuite") -> list[Outcome]:
    """Every rule of a suite on a batch: yes or no first, the rows behind a no second."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    frame = rows.append_column(ROW, pa.array(range(rows.num_rows), pa.int64())).to_pandas()
    asset = context.data_sources.add_pandas("batch").add_dataframe_asset("batch")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    verdicts = batch.validate(suite, result_format="BOOLEAN_ONLY").results
    by_rule = {_identity(verdict.expectation_config): verdict for verdict in verdicts}
    return [_outcome(batch, rule, by_rule[_identity(rule.configuration)]) for rule in suite.expectations]


def _outcome(batch: Any, rule: Any, verdict: Any) -> Outcome:
    config = rule.configuration
    broken: list[int] = []
    observed = ""
    if not verdict.success:
        detail = batch.validate(rule, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [ROW]})
        _refuse_crash(detail, config)
        broken = sorted({entry[ROW] for entry in detail.result.get("unexpected_index_list") or []})
        shown = detail.result.get("observed_value") if not is_row_rule(rule) else detail.result.get("partial_unexpected_list")
        observed = str(shown[:EXAMPLES] if isinstance(shown, list) else shown)
    result = RuleResult(
        rule=_name(config),
        kind="row" if is_row_rule(rule) else "table",
        severity=config.severity.value if hasattr(config.severity, "value") else config.severity,
        holds=bool(verdict.success),
        num_broken=len(broken),
        observed=observed[:300],
        why=config.meta["why"],
    )
    if is_row_rule(rule) and not verdict.success and not broken:
        raise DataError(f"{result.rule} failed but named no row; rows cannot be quarantined without it. Observed: {observed}.")
    return Outcome(result, tuple(broken))


def _refuse_crash(detail: Any, config: Any) -> None:
    """A rule that could not be computed must not pass for a rule that failed, nor for one that held."""
    info = detail.exception_info or {}
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry.get("raised_exception"):
            raise DataError(
                f"{_name(config)} could not be computed: {entry.get('exception_message')}. "
                "Look whether the column still has the type that the rule expects."
            )


def _identity(config: Any) -> str:
    """What tells a rule from every other of its suite."""
    kwargs = {name: value for name, value in config.kwargs.items() if name != "batch_id"}
    return json.dumps([config.type, str(config.severity), config.meta.get("why"), kwargs], sort_keys=True, default=str)


def _name(config: Any) -> str:
    """A rule in short: `distance: be_between(min_value=1)`."""
    kwargs = {key: value for key, value in config.kwargs.items() if key not in ("batch_id",)}
    subject = ", ".join(str(kwargs.pop(key)) for key in ("column", "column_A", "column_B", "column_list") if key in kwargs)
    kind = config.type.removeprefix("expect_").removeprefix("column_values_to_").removeprefix("column_")
    arguments = ", ".join(f"{key}={_short(value)}" for key, value in sorted(kwargs.items()))
    return f"{subject + ': ' if subject else ''}{kind}({arguments})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
