"""`python -m ml`: every stage and tool without Airflow."""

from ml.cli import main

main()
