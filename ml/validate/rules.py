"""One expectation of a suite: what it looks at, how far it has to look, and how it is told to people."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import great_expectations as gx

SUBJECTS = ("column", "column_A", "column_B", "column_list")
SHARED = {"expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique"}
WHOLE = {
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_column_value_z_scores_to_be_less_than",
    "expect_column_values_to_not_be_outliers",
}
COUNTS = {"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"}
NULLS_ONLY = {"expect_column_proportion_of_non_null_values_to_be_between"}

Reach = Literal["row", "shared", "whole", "count", "schema"]


@dataclass(frozen=True)
class Rule:
    """One expectation.

    `reach` says how far it has to look: a row by itself, rows that share a value, whole columns, only their number, or
    only names and types.
    """

    expectation: "gx.expectations.Expectation"

    @cached_property
    def configuration(self) -> Any:
        """Great Expectations builds it anew at every access."""
        return self.expectation.configuration

    @property
    def kind(self) -> Literal["row", "table"]:
        """Whether it judges rows (they can be quarantined) or the batch as a whole."""
        return "row" if is_row_rule(self.expectation) else "table"

    @property
    def severity(self) -> Literal["critical", "warning"]:
        """What a no means: the row is set aside, the night is stopped; or it is shown."""
        severity = self.configuration.severity
        found: Literal["critical", "warning"] = getattr(severity, "value", severity)
        return found

    @property
    def why(self) -> str:
        """The reason, from the suite."""
        return str(self.configuration.meta["why"])

    @property
    def columns(self) -> list[str]:
        """The columns it is about, none for a rule about the batch."""
        given = [self.configuration.kwargs[name] for name in SUBJECTS if name in self.configuration.kwargs]
        return [column for one in given for column in (one if isinstance(one, list) else [one])]

    @property
    def conditional(self) -> bool:
        """Whether it is about some rows only; the condition may name any column."""
        return self.configuration.kwargs.get("row_condition") is not None

    @property
    def reach(self) -> Reach:
        """How far it has to look."""
        kind = self.configuration.type
        if self.kind == "row":
            return "shared" if kind in SHARED else "whole" if kind in WHOLE else "row"
        if kind in COUNTS and not self.conditional:
            return "count"
        return "schema" if kind.startswith("expect_table_col") or kind == "expect_column_to_exist" else "whole"

    @property
    def nulls_only(self) -> bool:
        """Whether it asks only which values are missing, not what they are."""
        return self.configuration.type in NULLS_ONLY and not self.conditional

    @cached_property
    def name(self) -> str:
        """In short: `distance: be_between(min_value=1)`."""
        kwargs = arguments(self.configuration)
        subject = ", ".join(str(kwargs.pop(key)) for key in SUBJECTS if key in kwargs)
        kind = self.configuration.type.removeprefix("expect_").removeprefix("column_values_to_").removeprefix("column_")
        given = ", ".join(f"{key}={_short(value)}" for key, value in sorted(kwargs.items()))
        return f"{subject + ': ' if subject else ''}{kind}({given})"

    @property
    def expected(self) -> str:
        """What it asks for, in words where the usual arguments allow."""
        kwargs = arguments(self.configuration)
        kind = self.configuration.type.removeprefix("expect_").removeprefix("column_").removeprefix("values_").replace("_", " ")
        bounds = [(kwargs.get("min_value"), "at least"), (kwargs.get("max_value"), "at most")]
        told = [f"{words} {_plain(value)}" for value, words in bounds if value is not None]
        if told:
            return f"{kind.removesuffix(' between')} {' and '.join(told)}"
        others = [_short(value) for key, value in sorted(kwargs.items()) if key not in SUBJECTS and value is not None]
        return f"{kind} {', '.join(others)}".strip()


def rules(suite: "gx.ExpectationSuite") -> list[Rule]:
    """The expectations of a suite, in their order."""
    return [Rule(expectation) for expectation in suite.expectations]


def is_row_rule(expectation: "gx.expectations.Expectation") -> bool:
    """Whether a rule judges rows or the batch as a whole."""
    from great_expectations.expectations import expectation as kinds

    maps = (kinds.ColumnMapExpectation, kinds.ColumnPairMapExpectation, kinds.MulticolumnMapExpectation)
    return isinstance(expectation, maps)


def arguments(configuration: Any) -> dict[str, Any]:
    """What the suite says, without what Great Expectations adds."""
    return {name: value for name, value in configuration.kwargs.items() if name != "batch_id"}


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
