"""Blind deblurring for deepinv: ``BlindDAEP`` and ``estimate_kernel``."""

from daep_deepinv.blind.kernels import estimate_kernel
from daep_deepinv.blind.reconstructor import BlindDAEP

__all__ = ["BlindDAEP", "estimate_kernel"]
