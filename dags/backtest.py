"""Backtest: try retraining policies on the past before trusting one.

Starts by hand only (Trigger, with a span and the policies to try). The nights of the span are played again under each policy,
with nothing but what was known then. Nothing that serves is touched.

Triage:

- **`backtest` failed at try 1**: the history does not cover the span, or a policy is misspelt; the last line of its log says so.
- **`backtest` is up for retry**: a process was killed, perhaps for want of memory. The next try goes on where it stopped.
- **It takes long**: a night under `nightly` costs a training. Take a longer step between nights, a share of the keys, or fewer
  policies. Its log says every ten nights how far each policy is.
- The page is behind the button on `backtest` (Details > Extra links); its recommendation is also in the log.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import dag, task
from retraining import defaults, edge, forms, links, problems
from retraining.problems import ProblemFile

LONGEST = timedelta(days=2)  # a year of nights may take hours


def build(problem: ProblemFile) -> None:
    """The DAG `backtest_<problem>`."""
    arguments = defaults.arguments("backtest", problem, __doc__) | {"dagrun_timeout": LONGEST}

    @dag(schedule=None, params=forms.backtest(), **arguments)
    def backtest() -> None:
        @task(execution_timeout=LONGEST, **defaults.TRAINING)
        def backtest() -> dict[str, Any]:
            """Play the nights of the span again under every policy, judge what each would have answered, and recommend one."""
            return edge.backtested(problem)

        links.to_backtest(backtest())

    backtest()


for found in problems.readable():
    build(found)
