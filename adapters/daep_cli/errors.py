"""What the user is told when something goes wrong: one sentence, never a traceback, unless it is a bug of ours."""

from __future__ import annotations

__all__ = ["Interrupted", "explain", "one_line"]

#: Subclasses of RuntimeError that mean a programming error; these keep their traceback.
BUGS = (NotImplementedError, RecursionError)


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
        return one_line(error.format_message())
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return one_line(f"{name}{error.strerror}.")
    memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
    # torch reports a full main memory as a bare RuntimeError of its allocator
    if memory or (type(error) is RuntimeError and "not enough memory" in str(error)):
        return "not enough memory for an image of this size; use a smaller image or another --device."
    own_runtime_error = isinstance(error, RuntimeError) and type(error) is not RuntimeError
    if isinstance(error, (ValueError, OSError, FloatingPointError)) or own_runtime_error:
        return None if isinstance(error, BUGS) else one_line(str(error) or type(error).__name__)
    return None
