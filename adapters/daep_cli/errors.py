"""Which errors are explained to the user in one line. All others are bugs and keep their traceback."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daep_cli.wording import in_options

#: Subclasses of RuntimeError that mean a programming error.
BUGS = (NotImplementedError, RecursionError)

#: What to do about an error of the operating system, by number.
NEXT_STEPS = {
    errno.ENOENT: "check its name and folder",
    errno.EACCES: "check who may read and write it",
    errno.EPERM: "check who may read and write it",
    errno.ENOSPC: "make room and give the same command again",
    errno.EDQUOT: "make room and give the same command again",
    errno.EROFS: "choose another folder for the results",
    errno.ELOOP: "remove the link",
}
ANY_STEP = "check the disk, or try another folder"
#: What is expected of a number, by the kind of error of pydantic, with which newer versions of typer check values.
EXPECTED = {
    "int_parsing": "a whole number",
    "float_parsing": "a number",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
}


class Interrupted(Exception):
    """Ctrl-C, after the results were saved; the message says what there is.

    Not a ``KeyboardInterrupt``, of which typer keeps the exit status alone.
    """


def one_line(text: str) -> str:
    """``text`` without line breaks and control characters: a file name may contain terminal escape sequences."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


@contextmanager
def named(option: str, given: object) -> Iterator[None]:
    """Put an option, such as ``"--mask "``, and the value that is given before the message of an error about it."""
    try:
        yield
    except (ValueError, FileNotFoundError, ConnectionError, ImportError) as error:
        # errors of the operating system name the file; a missing module may be a bug
        if getattr(error, "errno", None) is not None or isinstance(error, ModuleNotFoundError):
            raise
        text = str(error).removeprefix("y: ")
        kind = type(error) if isinstance(error, (FileNotFoundError, ConnectionError)) else ValueError
        raise kind(option + (text if text.startswith(f"{given}:") else f"{given}: {text}")) from error


def _usage(error: Any) -> str:
    """typer's message about the command line; about a number, the option, what was given and what is expected.

    Without pydantic, typer's message about a number names all three.
    """
    cause = error.__cause__
    detail = cause.errors()[0] if hasattr(cause, "errors") else {}
    if detail.get("type") not in EXPECTED:
        return str(error.format_message())
    expected = EXPECTED[detail["type"]].format(**detail.get("ctx", {}))
    return f"{error.param.opts[0]} {detail['input']}: expected {expected}."


def explain(error: BaseException, command: str = "") -> str | None:
    """One line about an expected error: bad usage or input, files, divergence, memory. ``None`` for a bug.

    :param str command: of ``daep``, see :func:`daep_cli.wording.in_options`.
    """
    if hasattr(error, "format_message"):  # typer's usage errors; their module differs between versions
        return one_line(_usage(error))
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return one_line(f"{name}{error.strerror}; {NEXT_STEPS.get(error.errno or 0, ANY_STEP)}.")
    memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
    # torch raises a bare RuntimeError if the main memory is full
    if memory or (type(error) is RuntimeError and "not enough memory" in str(error)):
        return "not enough memory for an image of this size; use a smaller image or another --device."
    own_runtime_error = isinstance(error, RuntimeError) and type(error) is not RuntimeError
    if isinstance(error, (ValueError, OSError, FloatingPointError)) or own_runtime_error:
        return None if isinstance(error, BUGS) else one_line(in_options(str(error), command) or type(error).__name__)
    return None


def complaint(error: Exception, path: Path) -> str:
    """One line about an expected error with one image of several. A bug is raised again."""
    reason = explain(error)
    if reason is None:
        raise error
    reason = reason.removeprefix(f"{path.name}: ")
    return reason if path.name in reason else f"{one_line(os.fspath(path))}: {reason}"
