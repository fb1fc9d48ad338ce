"""The command line ``daep``: its commands, and how errors become one line and an exit status."""

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from daep_cli.commands.compare import compare
from daep_cli.commands.demo import demo
from daep_cli.commands.info import info, installed
from daep_cli.commands.kernel import kernel
from daep_cli.commands.restore import restore
from daep_cli.commands.train import train
from daep_cli.errors import Interrupted, explain
from daep_cli.screen import complain, of_file, remark
from daep_cli.wording import in_options

#: Exit status of an error that the user can mend, the same as of typer's usage errors; after Ctrl-C or SIGTERM (128 +
#: SIGINT); and if the reader of the output has closed it (128 + SIGPIPE).
BAD_INPUT, INTERRUPTED, OUTPUT_CLOSED = 2, 130, 141

app = typer.Typer(
    name="daep",
    help="Restore photographs with a denoising autoencoder as image prior.",
    epilog="`daep COMMAND --help` explains a command and shows examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (restore, kernel, demo, compare, train, info):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"daep-prior {installed('daep-prior')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of ``daep`` itself."""


def _check_filled(arguments: list[str]) -> None:
    """Refuse an empty text, as a shell variable without a value gives: as a path it would be the present folder."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument.strip():
            what = before if before.startswith("-") else "an argument"
            raise ValueError(f"{what}: is empty; give a value, or leave it out.")


@contextmanager
def _end_as_ctrl_c() -> Iterator[None]:
    """SIGTERM, by which batch systems and ``kill`` end a program, acts as Ctrl-C. A handler of another stays."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _print_warnings(command: str) -> None:
    """From now on, print each warning once for each file."""
    printed: set[str] = set()

    def show(text: str) -> None:
        line = of_file(in_options(text, command))
        if line not in printed:
            printed.add(line)
            remark(line)

    warnings.simplefilter("always", UserWarning)  # Python's default is once for all files
    warnings.showwarning = lambda message, *_: show(str(message))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    :param list arguments: without the name of the program; default: those of the process.
    :return: exit status: 0, 2 after an error that the user can mend, 130 after Ctrl-C or SIGTERM, 141 if the reader of
        the output has closed it.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    command = arguments[0] if arguments else ""
    try:
        _check_filled(arguments)
        with warnings.catch_warnings(), _end_as_ctrl_c():
            _print_warnings(command)
            status: Any = typer.main.get_command(app).main(arguments, prog_name="daep", standalone_mode=False)
    except Interrupted as error:
        remark(f"interrupted {error}")
        return INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):  # the latter in older versions of typer
        status = INTERRUPTED
    except SystemExit as error:
        # of typer, for a broken pipe as in `daep info | head -1`; its status would be that of a crash
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return OUTPUT_CLOSED
    except Exception as error:
        message = explain(error, command)
        if message is None:
            raise
        if message:  # empty after the help of `daep` alone
            complain(message)
        return BAD_INPUT
    if status == INTERRUPTED:
        remark("interrupted")
    return int(status or 0)
