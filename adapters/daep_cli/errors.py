"""What the user is told when something goes wrong: one sentence, never a traceback, unless it is a bug of ours."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["Interrupted", "explain", "named", "one_line"]

#: Subclasses of RuntimeError that mean a programming error; these keep their traceback.
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


class Interrupted(Exception):
    """Ctrl-C, after the work was brought to a clean end; the message says what there is of it.

    No ``KeyboardInterrupt``, of which the option parser would keep nothing but the exit status.
    """


def one_line(text: str) -> str:
    """``text`` without line breaks or control characters: file names may hold terminal escape sequences."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


@contextmanager
def named(option: str, given: object) -> Iterator[None]:
    """Put the option before what a library says of its value: a file that is missing or unusable.

    :param str option: what stands before the value, as in ``"--mask "``.
    :param given: the value.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, ConnectionError, ImportError) as error:
        # the operating system's own errors know the file, and a module that is missing may be a bug
        if getattr(error, "errno", None) is not None or isinstance(error, ModuleNotFoundError):
            raise
        text = str(error)
        kind = type(error) if isinstance(error, (FileNotFoundError, ConnectionError)) else ValueError
        raise kind(option + (text if text.startswith(str(given)) else f"{given}: {text}")) from error


def _usage(error: Any) -> str:
    """A complaint of the option parser, in the style of ours: its name, what was given, what is expected.

    Its versions differ in their classes and words, so these are told by what they have; others are left as they are.
    """
    message: str = error.format_message().rstrip(".")
    command = getattr(getattr(error, "ctx", None), "command_path", "daep")
    help_ = f"{command} --help shows what is expected."
    name, parameter = getattr(error, "option_name", None), getattr(error, "param", None)
    if parameter is not None:
        flags = [flag for flag in parameter.opts if flag.startswith("-")]
        if message.startswith("Missing"):
            flag = f" ({', '.join(flags)})" if flags else ""
            return f"{parameter.metavar or parameter.name}{flag} is missing; {help_}"
        shown = flags[-1] if flags else parameter.metavar or parameter.name
        given, expected = _given(error), _expected(message)
        if given is not None and expected is not None:
            return f"{shown} {given}: expected {expected}."
    if name is not None and "no such option" in message.lower():
        near = " or ".join(sorted(getattr(error, "possibilities", None) or ()))
        return f"{name}: no such option; " + (f"is {near} meant? " if near else "") + help_
    if name is not None and "requires an argument" in message:
        return f"{name}: a value is missing behind it; {help_}"
    if name is not None and "does not take a value" in message:
        return f"{name}: takes no value; {help_}"
    if wrong := re.fullmatch("No such command '(.*)'", message):
        return f"{wrong[1]}: no such command; {help_}"
    if extra := re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message):
        return f"{extra[1]}: more than the one name that is taken; {help_}"
    return f"{message}; {help_}"


def _given(error: Any) -> str | None:
    """The value that an option was given."""
    with suppress(AttributeError, IndexError, KeyError, TypeError):
        return str(error.__cause__.errors()[0]["input"])  # pydantic, which newer versions parse with
    quoted = re.match("'(.*?)' is not ", str(error.message))
    return quoted[1] if quoted else None


def _expected(message: str) -> str | None:
    """What an option takes."""
    if choices := re.search("is not one of (.*)", message):
        return "one of " + ", ".join(re.findall("'(.*?)'", choices[1]))
    if "integer" in message:
        return "a whole number"
    return "a number" if "number" in message or "float" in message else None


def explain(error: BaseException) -> str | None:
    """One line about a foreseen error, ``None`` for one that must be a bug.

    Foreseen are bad input (``ValueError``), files (``OSError``), a diverging iteration (``FloatingPointError`` or a
    class of its own below ``RuntimeError``), memory, and what the option parser complains of.

    :param BaseException error: what was raised.
    """
    if hasattr(error, "format_message"):  # the option parser's own errors, whichever package they live in
        return one_line(_usage(error))
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return one_line(f"{name}{error.strerror}; {NEXT_STEPS.get(error.errno or 0, ANY_STEP)}.")
    memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
    # torch reports a full main memory as a bare RuntimeError of its allocator
    if memory or (type(error) is RuntimeError and "not enough memory" in str(error)):
        return "not enough memory for an image of this size; use a smaller image or another --device."
    own_runtime_error = isinstance(error, RuntimeError) and type(error) is not RuntimeError
    if isinstance(error, (ValueError, OSError, FloatingPointError)) or own_runtime_error:
        return None if isinstance(error, BUGS) else one_line(str(error) or type(error).__name__)
    return None
