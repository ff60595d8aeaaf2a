"""Makes no DAG: it shows broken problem files among Airflow's import errors, each with its name and what is wrong.

The error stands in a file of its own because Airflow takes away every DAG of a file that raises: one bad problem file
would take the other problems' nights with it. The files that make DAGs leave out what they cannot read.
"""

from retraining import problems

problems.demand_readable()
