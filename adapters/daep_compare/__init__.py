"""Compare DAEP with other methods: one degradation, the same network, quality and time side by side.

:func:`compare` runs the methods, :mod:`daep_compare.figures` draws the result, and :mod:`daep_compare.peers` holds the
other methods.
"""

from daep_compare.comparison import compare, compare_each
from daep_compare.methods import known_methods, usual_methods
from daep_compare.results import COLUMNS, Comparison, Result, Step

__all__ = ["COLUMNS", "Comparison", "Result", "Step", "compare", "compare_each", "known_methods", "usual_methods"]
