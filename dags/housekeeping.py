"""Housekeeping: remove files of the Delta tables that nobody needs any more, and the last traces of people who were erased.

Starts every week, or by hand. Versions that a registered model was made from stay readable, except for what erased people
left in them.

Triage:

- **`purge` removed nothing**: nobody was erased, or `[retention] versions_days` are not over yet. Not a fault.
- **`vacuum` is up for retry**: MLflow is away, so nobody can say which versions to keep; nothing was removed.
- **`vacuum` removed nothing**: every old version is younger than `[retention] versions_days`, or pinned. Not a fault.
"""

from typing import Any

from airflow.sdk import dag, task
from retraining import defaults, edge, problems, runs, schedules
from retraining.problems import ProblemFile


def build(problem: ProblemFile) -> None:
    """The DAG `housekeeping_<problem>`."""

    @dag(schedule=schedules.housekeeping(problem), **defaults.arguments("housekeeping", problem, __doc__))
    def housekeeping() -> None:
        @task
        def purge() -> dict[str, Any]:
            """Remove old files that still hold rows of erased people, also where a model used them."""
            from ml import erase

            return {"num_files": len(erase.purge(runs.open_run(problem)))}

        @task
        def vacuum() -> dict[str, Any]:
            """Remove files that only old versions need; versions of registered models stay."""
            from ml import versions

            return edge.done(versions.vacuum(runs.open_run(problem)))

        purge() >> vacuum()

    housekeeping()


for found in problems.readable():
    build(found)
