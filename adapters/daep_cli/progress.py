"""One progress bar with an estimate of the time that is left, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from daep_cli.errors import one_line

__all__ = ["Bar", "progress_bar"]

#: Seconds that the speed is averaged over: longer than any iteration of an image that fits into memory.
SPEED_PERIOD = 600.0


class Bar:
    """Work done out of work known, in any unit."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task
        self._total = 0.0

    def extend(self, work: float, text: str = "") -> None:
        """More work is known, and what is being worked on."""
        self._total += work
        self._progress.update(self._task, total=self._total)
        self.tell(text)

    def tell(self, text: str) -> None:
        """Say what is being worked on."""
        self._progress.update(self._task, description=one_line(text))

    def advance(self, work: float) -> None:
        """Some work is done."""
        self._progress.advance(self._task, work)


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A bar on stderr, empty at first; it disappears at the end, and shows nothing where stderr is no terminal."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # a pipe must get its lines
        speed_estimate_period=SPEED_PERIOD,
    )
    # before version 14 a bar that shows nothing still ends with an empty line
    with progress if console.is_terminal else nullcontext():
        yield Bar(progress, progress.add_task("", total=0))
