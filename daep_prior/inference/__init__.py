"""Fast evaluation of frozen networks: number type, cached copy, CUDA graphs, memory that is kept."""

from daep_prior.inference.compute_dtype import fast_dtype
from daep_prior.inference.heap import keep_freed_memory

__all__ = ["fast_dtype", "keep_freed_memory"]
