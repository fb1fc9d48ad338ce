"""Fast evaluation of frozen networks: number type, cached copy, CUDA graphs, memory that is kept."""

from daep_prior.inference.heap import keep_freed_memory
from daep_prior.inference.number_type import fast_dtype

__all__ = ["fast_dtype", "keep_freed_memory"]
