"""Warnings that point at the line of the user, however deep in the library they arise."""

import sys
import warnings

#: Packages whose lines are not the user's. A model is called through torch's ``Module.__call__``.
NOT_THE_USER = ("daep_deepinv", "daep_prior", "deepinv", "torch")


def warn_caller(warning: str | Warning) -> None:
    """Emit a warning at the innermost line that is in none of :data:`NOT_THE_USER`."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in NOT_THE_USER:
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)
