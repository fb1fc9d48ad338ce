"""DAEP beside other methods: one degradation, the same network, quality and time side by side."""

from daep_compare.comparison import compare

__all__ = ["compare"]
