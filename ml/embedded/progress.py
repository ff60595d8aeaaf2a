"""What people see while a night runs: a table that moves on a terminal, one line per finished step elsewhere."""

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

STYLES = {"success": "green", "done": "green", "running": "cyan", "failed": "bold red", "skipped": "dim"}
TOLD = ("success", "done", "failed", "skipped", "upstream_failed", "up_for_retry")  # states that get a line of their own


@dataclass
class Step:
    """One line of the table."""

    name: str
    state: str
    seconds: float | None
    note: str = ""


@dataclass
class Progress:
    """A context manager; steps keep the order in which they were first shown."""

    console: Console
    _steps: dict[str, Step] = field(default_factory=dict)
    _live: Live | None = None
    _began: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(self._table(), console=self.console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
            self._live = None
        self._steps.clear()

    def settle(self) -> None:
        """What was shown so far stays above; a new table begins."""
        if self._live and self._steps:
            self.console.print(self._table())
        self._steps.clear()
        if self._live:
            self._live.update(self._table(), refresh=True)

    def say(self, line: str) -> None:
        """A line that stays, after the seconds since the beginning."""
        passed = f"{time.monotonic() - self._began:5.0f} s  "
        self.console.print(passed + line, highlight=False, markup=False, soft_wrap=True)

    def show(self, name: str, state: str, seconds: float | None, note: str = "") -> None:
        """A step as it stands now."""
        before = self._steps.get(name)
        step = self._steps[name] = Step(name, state, seconds, note or (before.note if before else ""))
        if self._live:
            self._live.update(self._table())
        elif state in TOLD and (before is None or before.state != state):
            taken = "" if seconds is None else f"{seconds:6.1f} s"
            self.say(f"{name:<20} {state:<10} {taken:>8}  {step.note}".rstrip())

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for step in self._steps.values():
            taken = "" if step.seconds is None else f"{step.seconds:.1f} s"
            state = Text(step.state, style=STYLES.get(step.state, ""))
            table.add_row(Text(step.name), state, Text(taken, justify="right"), Text(step.note))
        return table
