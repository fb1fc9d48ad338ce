"""A progress bar with the remaining time, on terminals only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from daep_cli.errors import one_line

#: Moves a bar: ``bar(advance=work)``, ``bar(description=text)``.
Bar: TypeAlias = Callable[..., None]
#: Seconds over which the speed is averaged: longer than an iteration of any image that fits into memory.
SPEED_PERIOD = 600.0


@contextmanager
def progress_bar(total: float, text: str = "") -> Iterator[Bar]:
    """A bar on stderr, which disappears at the end; invisible if stderr is no terminal."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # lines for a pipe must go there
        speed_estimate_period=SPEED_PERIOD,
    )
    # before version 14, an invisible bar ends with an empty line
    with progress if console.is_terminal else nullcontext():
        yield partial(progress.update, progress.add_task(one_line(text), total=total))
