"""One typer application of several small ones, and the place where an error becomes a sentence and an exit status."""

import logging
import sys

import typer

from ml.cli import (
    alerts,
    backtest,
    contract,
    data,
    erase,
    expectations,
    export,
    keys,
    labels,
    lineage,
    monitor,
    moves,
    overview,
    problems,
    quarantine,
    rehearse,
    replay,
    runs,
    state,
    tune,
)
from ml.errors import EvergreenError

app = typer.Typer(
    name="python -m ml",
    help="Evergreen: keeps TensorFlow models in production fresh, and can say no.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PARTS = (
    problems,
    data,
    contract,
    quarantine,
    expectations,
    runs,
    monitor,
    rehearse,
    tune,
    state,
    overview,
    moves,
    lineage,
    keys,
    alerts,
    labels,
    erase,
    replay,
    backtest,
    export,
)
for part in PARTS:
    part.register(app)


def main() -> None:
    """Run the command line and exit."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("ml").setLevel(logging.INFO)
    try:
        app()
    except EvergreenError as error:
        typer.secho(f"{type(error).__name__}: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)
