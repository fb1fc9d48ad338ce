"""What the user is told when something goes wrong: one sentence, never a traceback, unless it is a bug of ours."""

from __future__ import annotations

import errno

__all__ = ["Interrupted", "explain", "one_line"]

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


def explain(error: BaseException) -> str | None:
    """One line about a foreseen error, ``None`` for one that must be a bug.

    Foreseen are bad input (``ValueError``), files (``OSError``), a diverging iteration (``FloatingPointError`` or a
    class of its own below ``RuntimeError``), memory, and what the option parser complains of.

    :param BaseException error: what was raised.
    """
    if hasattr(error, "format_message"):  # the option parser's own errors, whichever package they live in
        command = getattr(getattr(error, "ctx", None), "command_path", "daep")
        return one_line(f"{error.format_message().rstrip('.')}; {command} --help shows what is expected.")
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
