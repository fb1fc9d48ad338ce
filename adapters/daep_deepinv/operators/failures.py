"""An operator that fails: another is taken, or the measurement is refused. A lack of memory is not its failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["refusal", "unless_it_fails"]

#: What an operator raises for images or measurements that it does not take, or steps that it does not support.
FAILURES = (RuntimeError, TypeError, ValueError, AttributeError, IndexError, AssertionError, NotImplementedError)


def unless_it_fails(compute: Callable[[], Any], otherwise: Any) -> Any:
    """``compute()``; ``otherwise`` if it fails.

    :raises RuntimeError: the memory is full.
    """
    try:
        return compute()
    except FAILURES as error:
        if _lacks_memory(error):
            raise
        return otherwise


@contextmanager
def refusal(sentence: str, failures: tuple[type[Exception], ...] = FAILURES) -> Iterator[None]:
    """A failure inside is raised as a ValueError: the sentence, and the reason.

    :raises RuntimeError: the memory is full.
    """
    try:
        yield
    except failures as error:
        if _lacks_memory(error):
            raise
        raise ValueError(f"{sentence}: {error}") from error


def _lacks_memory(error: Exception) -> bool:
    # torch raises a bare RuntimeError if the main memory is full
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
