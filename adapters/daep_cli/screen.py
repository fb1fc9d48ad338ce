"""What the command line prints: one line at a time, without control characters."""

import typer

from daep_cli.errors import one_line


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
