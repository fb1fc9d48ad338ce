"""Whether one evaluation of an operator costs so much that a plan should need few."""

from __future__ import annotations

from typing import Any

from deepinv.physics import Physics
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from daep_deepinv.operators.remembered import remembered
from daep_deepinv.operators.scaled import ComplexAsReal, ScaledPhysics
from daep_prior.partition import as_complex

__all__ = ["is_costly"]

#: Numbers that one evaluation of an operator computes, for each number of the image, and in how many operations, from
#: which on it is costly. For the rows of ``benchmarks/physics_matrix.py``: blurs, MRI and phase retrieval 2 to 100
#: numbers, tomography 250; a random matrix, which is copied, 16000 in 20 operations; scattering, which solves equations
#: by iteration, 25000 in 1100 operations.
NUMBERS, OPERATIONS = 3000, 200


def is_costly(physics: Physics, x: Tensor) -> bool:
    """Whether ``physics.A(x)`` computes many numbers in many operations, counted once for each physics and shape. A
    count, unlike a time, is the same on every machine.

    :param torch.Tensor x: images (B, C, ...).
    """
    if isinstance(physics, ScaledPhysics):
        return is_costly(physics.base, physics.scale * x + physics.offset)
    if isinstance(physics, ComplexAsReal):
        return is_costly(physics.base, as_complex(x))
    return remembered(physics, ("cost", tuple(x.shape[1:]), x.dtype), lambda: _costs_much(physics, x[:1]))


def _costs_much(physics: Physics, x: Tensor) -> bool:
    with _Counting() as counting:
        physics.A(x)
    return counting.numbers > NUMBERS * x.numel() and counting.operations > OPERATIONS


class _Counting(TorchDispatchMode):
    """Count the operations, and the elements of all tensors that they compute."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations += 1
        self.numbers += sum(part.numel() for part in tree_leaves(out) if isinstance(part, Tensor))
        return out
