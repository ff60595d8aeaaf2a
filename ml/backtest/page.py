"""The page: what every policy reached, what it cost, over time and side by side, and which one to take."""

from typing import Any

import numpy as np

from ml import pages
from ml.pages.drawing import axes_for
from ml.problem import Problem
from ml.records.backtest import Backtested, PolicyOutcome

COLOURS = {
    "never": "#7a7a7a",
    "nightly": "#1f6f8b",
    "weekly": "#6a4fa3",
    "drift": "#c2571a",
    "performance": "#a3842b",
    "evergreen": "#17803d",
}
WIDE, HIGH = 9.6, 3.6  # inches


def render_page(record: Backtested, problem: Problem) -> str:
    """The whole page as HTML."""
    ordered = sorted(record.policies, key=lambda one: one.minutes)
    return pages.render(
        "backtest", record=record, problem=problem, policies=ordered, over_time=_over_time(record), frontier=_frontier(record)
    )


def _over_time(record: Backtested) -> Any:
    says = f"Live {record.metric} of every policy, a point for {record.piece_days} days"
    with axes_for(says, width=WIDE, height=HIGH, ylabel=f"live {record.metric}") as (axes, done):
        for one in record.policies:
            values = np.asarray([np.nan if value is None else value for value in one.over_time])
            style = {"color": COLOURS[one.policy], "linewidth": 2.2 if one.policy == record.recommended else 1.2}
            axes.plot(list(record.pieces), values, label=one.policy, marker=".", **style)
        axes.legend(ncols=3, frameon=False)
        axes.figure.autofmt_xdate()
    return done[0]


def _frontier(record: Backtested) -> Any:
    says = f"Live {record.metric} against minutes of training; the line joins the policies that no other one beats in both"
    with axes_for(says, width=WIDE, height=HIGH, xlabel="minutes of training", ylabel=f"live {record.metric}") as (axes, done):
        best = frontier(record.policies, record.metric)
        axes.plot([one.minutes for one in best], [one.quality.value for one in best], color="#999999", linewidth=1, zorder=1)
        for place, one in enumerate(sorted(record.policies, key=lambda one: one.minutes)):
            low, high = one.quality.value - one.quality.low, one.quality.high - one.quality.value
            error = None if np.isnan([low, high]).any() else [[low], [high]]
            axes.errorbar([one.minutes], [one.quality.value], yerr=error, fmt="o", color=COLOURS[one.policy], capsize=3)
            axes.annotate(
                one.policy, (one.minutes, one.quality.value), xytext=(6, (5, -12)[place % 2]), textcoords="offset points"
            )
    return done[0]


def frontier(policies: tuple[PolicyOutcome, ...], metric: str) -> list[PolicyOutcome]:
    """The policies that no other one beats in both quality and minutes, the cheapest first."""
    from ml import metrics

    sign, best, found = metrics.better(metric), -np.inf, []
    for one in sorted(policies, key=lambda one: (one.minutes, -sign * one.quality.value)):
        if sign * one.quality.value > best:
            best = sign * one.quality.value
            found.append(one)
    return found
