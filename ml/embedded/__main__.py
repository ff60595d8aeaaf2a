"""`python -m ml.embedded up|down|demo`: the whole system on this machine."""

import contextlib
import shlex
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from ml.embedded import demo as demo_
from ml.embedded import report
from ml.embedded.progress import Progress
from ml.embedded.stack import Stack
from ml.errors import EvergreenError

app = typer.Typer(
    name="python -m ml.embedded",
    help="Evergreen with PostgreSQL, MLflow, Airflow and the prediction service, on this machine alone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
HomeOption = Annotated[Path, typer.Option("--home", help="folder of the stack: databases, models, logs, secrets")]
ProblemOption = Annotated[str, typer.Option("--problem", "-p", help="name of a problem with a history to replay")]
console = Console(width=None if sys.stdout.isatty() else 130)


@app.command(help="Start every part and leave it running.")
def up(home: HomeOption = Path("build")) -> None:
    """Start the stack."""
    stack = Stack(home)
    with Progress(console) as progress:
        stack.start(progress.say)
    report.links(console, stack, "flights", None)


@app.command(help="End every part; the folder stays.")
def down(home: HomeOption = Path("build")) -> None:
    """Stop the stack."""
    Stack(home).stop()
    console.print("everything is stopped")


@app.command(help='Print the settings of this stack for a shell: eval "$(python -m ml.embedded env)". They hold passwords.')
def env(home: HomeOption = Path("build")) -> None:
    """Print `export` lines for commands run by hand."""
    for name, value in Stack(home).environment.items():
        if name.startswith("EVERGREEN_"):
            typer.echo(f"export {name}={shlex.quote(value)}")


@app.command(help="Play nights of replayed history through the real scheduler, and report what came of them.")
def demo(
    problem: ProblemOption = "flights",
    nights: Annotated[int, typer.Option(help="how many nights to play")] = 1,
    data: Annotated[Path | None, typer.Option(help="folder or file with the history, where the problem needs one")] = None,
    leave: Annotated[bool, typer.Option("--exit", help="end everything after the report instead of staying up")] = False,
    home: HomeOption = Path("build"),
) -> None:
    """Play, report, and stay until Ctrl-C."""
    stack = Stack(home)
    demo_.check_arguments(stack, problem, nights)
    keep = False
    try:
        outcome = _play(stack, problem, nights, data)
        if not leave:
            _stay()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except EvergreenError:
        keep = stack.running and not leave
        if keep:
            console.print(f"Everything still runs, to be looked at: {stack.airflow_url}. `make down` ends it.", soft_wrap=True)
        raise
    finally:
        if not keep:
            stack.stop()
    raise typer.Exit(1 if outcome.complaints else 0)


def _stay() -> None:
    console.print("Everything stays up until Ctrl-C.")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _play(stack: Stack, problem: str, nights: int, data: Path | None) -> demo_.Outcome:
    with Progress(console) as progress:
        stack.start(progress.say)
        outcome = demo_.play(stack, problem, nights=nights, data=data, progress=progress)
    report.show(console, stack, problem, outcome.nights)
    for sentence in outcome.complaints:
        console.print(f"NOT AS IT SHOULD BE: {sentence}", markup=False, style="bold red")
    return outcome


def main() -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except EvergreenError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, highlight=False, style="bold red", soft_wrap=True)
        sys.exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


main()
