"""Fast evaluation of frozen networks."""

from daep_prior.inference.number_type import fast_dtype

__all__ = ["fast_dtype"]
