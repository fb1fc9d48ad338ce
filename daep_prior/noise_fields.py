"""Noise fields for the stochastic evaluation of the prior (eq. 8), reproducible for each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from daep_prior.arguments import checked_seeds

__all__ = ["NoiseSource"]


class NoiseSource:
    """Standard normal fields ``eps / s`` for eq. 8.

    Every image has its own random stream, fixed by its seed alone. So an image is restored to the same result alone and
    in a batch. With one seed for all, every image sees the same fields.

    :param int, list seed: one seed for all images, or one an image.
    :raises ValueError: not whole numbers.
    """

    def __init__(self, seed: int | Sequence[int] = 0):
        self.seed = checked_seeds(seed)
        self._generators: dict[torch.device, list[torch.Generator]] = {}

    def reset(self) -> None:
        """Restart all streams."""
        self._generators.clear()

    def generators(self, device: torch.device) -> list[torch.Generator]:
        """The streams on a device, in their present state; one, or one an image."""
        if device not in self._generators:
            self._generators[device] = [torch.Generator(device).manual_seed(s) for s in self._seeds()]
        return self._generators[device]

    def _seeds(self) -> list[int]:
        return [self.seed] if isinstance(self.seed, int) else list(self.seed)

    def seeds(self, images: int) -> list[int]:
        """One seed for all of ``images`` images, or one an image.

        :raises ValueError: the number of seeds is neither 1 nor ``images``.
        """
        seeds = self._seeds()
        if len(seeds) not in (1, images):
            raise ValueError(f"seed: got {len(seeds)} seeds for {images} images; give one, or one an image.")
        return seeds

    def draw(self, x: Tensor, count: int = 1) -> list[Tensor]:
        """The next ``count`` fields, each with the shape, type and device of ``x`` (B, C, H, W).

        :raises ValueError: the number of seeds is neither 1 nor B.
        """
        self.seeds(x.shape[0])
        generators = self.generators(x.device)
        fields = []
        for _ in range(count):
            # float32 for every type of x: a float64 run sees the same noise
            field = torch.empty((len(generators), *x.shape[1:]), device=x.device)
            for part, generator in zip(field, generators, strict=True):
                part.normal_(generator=generator)
            fields.append(field.to(x.dtype).expand(x.shape))
        return fields
