"""Make our iterators known to deepinv's look-up by name."""

from __future__ import annotations

from deepinv.optim import optim_iterators

from daep_deepinv.iterators import HeavyBallIteration, ProximalMomentumIteration

__all__ = ["register"]


def register() -> None:
    """Let ``deepinv.optim.optim_builder("HeavyBall", ...)`` and ``"ProximalMomentum"`` find our iterators.

    Calling it again does no harm.

    :raises RuntimeError: deepinv already has an iterator of that name that is not ours.
    """
    for iterator in (HeavyBallIteration, ProximalMomentumIteration):
        known = getattr(optim_iterators, iterator.__name__, iterator)
        if known is not iterator:
            raise RuntimeError(f"deepinv already has an iterator {iterator.__name__}; build it from {known} directly.")
        setattr(optim_iterators, iterator.__name__, iterator)
