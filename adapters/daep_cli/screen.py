"""What the command line prints: one line at a time, without control characters."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import typer

from daep_cli.errors import one_line

_FILE: ContextVar[str | None] = ContextVar("file", default=None)


@contextmanager
def about(name: str) -> Iterator[None]:
    """While it lasts, warnings are of this file; a refusal of the measurement ``y`` names it."""
    before = _FILE.set(name)
    try:
        yield
    except ValueError as error:
        if type(error) is not ValueError or not str(error).startswith("y: "):
            raise
        raise ValueError(f"{name}: {str(error).removeprefix('y: ')}") from error
    finally:
        _FILE.reset(before)


def of_file(text: str) -> str:
    """A warning with the name of its file, see :func:`about`, in place of ``the image:``."""
    name = _FILE.get()
    return text if name is None or name in text else f"{name}: {text.removeprefix('the image: ')}"


def say(line: str) -> None:
    """Print a line to stdout."""
    typer.echo(one_line(line))


def remark(line: str) -> None:
    """Print a warning to stderr."""
    typer.echo(f"daep: {one_line(line)}", err=True)


def complain(line: str) -> None:
    """Print an error to stderr."""
    remark(f"error: {line}")


def iterations_text(number: int) -> str:
    """The number of iterations, in words."""
    return f"{number} iteration" + ("" if number == 1 else "s")
