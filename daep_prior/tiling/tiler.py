r"""The energy, its gradient and the denoiser of images larger than memory, evaluated tile by tile.

If the output of a network depends on inputs at most ``radius`` pixels away, a tile is evaluated exactly when it is cut
out with a halo of ``radius`` pixels. The gradient of the energy goes through the network twice, so it needs a halo of
``2 radius``. At the border of the image the network pads a tile as it pads the whole image. If that halo exceeds
:data:`EXACT_HALO`, or the network states no ``radius``, the halo is :data:`HALO` and neighbouring tiles are blended
linearly.

All else, such as the noise of eq. 8, belongs to the whole image. So a tiled restoration equals the untiled one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from daep_prior.energy import Denoise, energy, energy_gradient
from daep_prior.inference.heap import working_memory
from daep_prior.tiling.memory import free_memory, peak_bytes
from daep_prior.tiling.spans import spans

__all__ = ["SMALLEST_TILE", "Share", "TileSize", "Tiler", "check_tile"]

TileSize = int | Literal["auto"] | None
Level = float | Tensor
#: The image, and the noise fields if any, all of one shape.
Inputs = Sequence[Tensor]
Function = Callable[[Inputs, Level], Tensor]

#: Largest halo, pixels, that is as wide as the receptive field, so that the result is exact. Chosen by hand: a wider
#: one costs more than it gains.
EXACT_HALO = 64
#: Halo of networks with a wider receptive field, and half width of the ramps between their tiles, pixels. The shipped
#: U-Net has a radius of 97 pixels. With this halo tiles change its gradient by at most 2e-5, or 1/50 000 of its size;
#: with a halo of 64 by 1e-3.
HALO, RAMP = 96, 16
#: Tiles begin at multiples of this, pixels, if the network does not state the multiple that it pads to: four reductions
#: by 2, as in common U-Nets.
MULTIPLE = 16
#: Height and width of the smallest tile that is accepted, pixels. Chosen by hand.
SMALLEST_TILE = 8
#: Bounds of an automatic tile, pixels. Chosen by hand: of smaller tiles the halo is nearly all the work, of larger ones
#: next to nothing.
SMALLEST_CHOSEN, LARGEST_CHOSEN = 32, 2048
#: Share of the free memory that the tensors of one tile may take. Chosen by hand: kernels and other programs need the
#: rest.
SHARE_OF_MEMORY = 0.5
#: Number of buffers of the image's size beside the tiles, counted in the code: result, sum, and a solver's own.
IMAGE_BUFFERS = 6
#: Bytes a pixel, more than the gradient of any common network takes. If the image fits at this rate, the network's
#: memory is not measured.
MANY_BYTES = 20_000
#: Height and width of the image on which the memory of a network is measured, pixels. Chosen by hand.
PROBE = 128


def check_tile(tile: object) -> None:
    """Refuse anything that is not ``"auto"``, ``None`` or a size in pixels.

    :raises ValueError: with what is expected.
    """
    whole = isinstance(tile, int) and not isinstance(tile, bool)
    if not (tile is None or tile == "auto" or (whole and tile >= SMALLEST_TILE)):  # type: ignore[operator]
        raise ValueError(
            f"tile: got {tile!r}; expected 'auto', None (never tile) or a size in pixels of at least {SMALLEST_TILE}."
        )


class Share(Protocol):
    """How several processes share the tiles of an image; deepinv's ``DistributedContext`` is one."""

    def local_indices(self, num_items: int) -> list[int]:
        """The tiles of this process."""

    def all_reduce(self, x: Tensor) -> Tensor:
        """The sum of ``x`` over the processes."""


class Tiler:
    """Evaluates energy, gradient and denoiser: on the whole image if it fits into memory, else tile by tile.

    :param tile: ``"auto"``: tiles only if the image does not fit into the free memory, and as large as fit. A number:
        tiles of that many pixels in height and width (without the halo) for all larger images, one image at a time.
        ``None``: no tiles.
    :raises ValueError: anything else.
    """

    def __init__(self, tile: TileSize = "auto"):
        check_tile(tile)
        self.tile = tile
        self._sizes: dict[Any, tuple[int, int] | None] = {}

    def reset(self) -> None:
        """Look again at how much memory is free."""
        self._sizes = {}

    def gradient(
        self,
        denoise: Denoise,
        x: Tensor,
        sigma: Level,
        noise: Sequence[Tensor] | None = None,
        replicas: int = 1,
        jacobian: bool = True,
        share: Share | None = None,
    ) -> Tensor:
        """:func:`daep_prior.energy_gradient`; ``share`` spreads the tiles over processes."""

        def function(parts: Inputs, level: Level) -> Tensor:
            return energy_gradient(denoise, parts[0], level, parts[1:], replicas, jacobian)

        return self._evaluate(function, denoise, (x, *(noise or ())), sigma, 2 if jacobian else 1, share)

    def energy(
        self,
        denoise: Denoise,
        x: Tensor,
        sigma: Level,
        noise: Sequence[Tensor] | None = None,
        replicas: int = 1,
        share: Share | None = None,
    ) -> Tensor:
        """:func:`daep_prior.energy`; ``share`` as above."""
        return energy(lambda z, level: self.denoise(denoise, z, level, share), x, sigma, noise, replicas)

    def denoise(self, denoise: Denoise, x: Tensor, sigma: Level, share: Share | None = None) -> Tensor:
        """``denoise(x, sigma)``; ``share`` as above."""
        return self._evaluate(lambda parts, level: denoise(parts[0], level), denoise, (x,), sigma, 1, share)

    def _evaluate(
        self, function: Function, denoise: Denoise, inputs: Inputs, sigma: Level, passes: int, share: Share | None
    ) -> Tensor:
        x = inputs[0]
        halo, ramp, multiple = _geometry(denoise, passes)
        chosen = self._size(function, inputs, sigma, passes, halo, share)
        function = working_memory()(function)
        if chosen is None:
            return function(inputs, sigma)
        images, size = chosen
        tiles = [
            (slice(first, first + images), rows, columns)
            for first in range(0, x.shape[0], images)
            for rows in spans(x.shape[-2], size, halo, multiple, ramp)
            for columns in spans(x.shape[-1], size, halo, multiple, ramp)
        ]
        out = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
        for index in range(len(tiles)) if share is None else share.local_indices(len(tiles)):
            batch, rows, columns = tiles[index]
            window = (batch, slice(None), rows.window, columns.window)
            level = sigma[batch] if isinstance(sigma, Tensor) and sigma.numel() == x.shape[0] > 1 else sigma
            part = function([t[window] for t in inputs], level)[..., rows.kept, columns.kept]
            for weight, shape in ((rows.weight, (-1, 1)), (columns.weight, (1, -1))):
                if weight is not None:
                    part = part * weight.to(part).reshape(shape)
            out[batch, :, rows.target, columns.target] += part
        return out if share is None else share.all_reduce(out)

    def _size(
        self, function: Function, inputs: Inputs, sigma: Level, passes: int, halo: int, share: Share | None
    ) -> tuple[int, int] | None:
        """Images at a time, and pixels in height and width of a tile; ``None``: the whole batch at once."""
        x = inputs[0]
        if x.ndim != 4 or self.tile is None:  # the denoiser refuses what is not an image
            return None
        if isinstance(self.tile, int):
            return (1, self.tile) if max(x.shape[-2:]) > self.tile or share is not None else None
        key = (passes, x.shape, x.dtype, x.device)
        sizes = self._sizes  # another thread may reset them
        if key not in sizes:
            sizes[key] = _largest_that_fits(function, inputs, sigma, halo)
        return sizes[key]


def _geometry(denoise: Denoise, passes: int) -> tuple[int, int, int]:
    """Halo, ramp and multiple for a function that goes through the network ``passes`` times."""
    radius, multiple = getattr(denoise, "radius", None), getattr(denoise, "multiple", MULTIPLE)
    if isinstance(radius, int) and passes * radius <= EXACT_HALO:
        return passes * radius, 0, multiple
    return HALO, RAMP, multiple


def _largest_that_fits(function: Function, inputs: Inputs, sigma: Level, halo: int) -> tuple[int, int] | None:
    """The largest part of the batch whose evaluation fits into the free memory, as :meth:`Tiler._size` returns it."""
    x = inputs[0]
    batch, height, width = x.shape[0], *x.shape[-2:]
    budget = SHARE_OF_MEMORY * (free_memory(x.device) - IMAGE_BUFFERS * x.numel() * x.element_size())
    if MANY_BYTES * batch * height * width <= budget:
        return None
    level = sigma.flatten()[:1] if isinstance(sigma, Tensor) else sigma
    probe = [t[:1, :, :PROBE, :PROBE] for t in inputs]
    function(probe, level)  # makes the network's fast copy, which must not be counted
    a_pixel = peak_bytes(lambda: function(probe, level)) / (probe[0].shape[-2] * probe[0].shape[-1])
    images = int(budget / (a_pixel * height * width)) if budget > 0 else 0
    if images >= batch:
        return None
    if images >= 1:
        return images, max(height, width)
    side = math.sqrt(max(0.0, budget) / a_pixel) - 2 * halo
    return 1, int(min(max(side, SMALLEST_CHOSEN), LARGEST_CHOSEN))
