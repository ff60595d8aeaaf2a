"""What can go wrong, sorted by who can mend it.

A wrong file or a wrong row is as wrong the second time, so Airflow retries a `TransientError` and what nobody foresaw, never
the others.
"""


class EvergreenError(Exception):
    """Any failure with a stated reason; the command line ends with status 1 and prints it without a traceback."""


class ConfigError(EvergreenError):
    """A problem file, a suite or a setting is wrong: a person edits it."""


class DataError(EvergreenError):
    """The data are not what the problem file or the suite says: the owner of the source looks."""


class RefusedError(EvergreenError):
    """A rule says no to a move that was asked for (a promotion that lost a race, a version without approval)."""


class TransientError(EvergreenError):
    """Something is away or full and may be back soon: a database, MLflow, the store, the service."""
