"""A progress bar with the remaining time, on terminals only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from daep_cli.errors import one_line

if TYPE_CHECKING:
    from torch import Tensor

#: Moves a bar: ``bar(advance=work)``, ``bar(description=text)``.
Bar: TypeAlias = Callable[..., None]
#: Seconds over which the speed is averaged: longer than an iteration of any image that fits into memory.
SPEED_PERIOD = 600.0


@contextmanager
def progress_bar(total: float | None, text: str = "") -> Iterator[Bar]:
    """A bar on stderr, which disappears at the end; invisible if stderr is no terminal. ``None``: no total is known."""
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


@contextmanager
def blur_bar(name: str) -> Iterator[Callable[[int, float, int, "Tensor"], None]]:
    """A bar that shows start, scale and round of the search for the blur of a photograph; yields what it follows.

    The number of starts is not known before.
    """
    with progress_bar(None, name) as bar:

        def follow(start: int, factor: float, number: int, _: "Tensor") -> None:
            scale = f"scale 1/{1 / factor:.3g}" if factor < 1 else "full scale"
            bar(description=one_line(f"{name}: blur, start {start + 1}, {scale}, round {number + 1}"), advance=1)

        yield follow
