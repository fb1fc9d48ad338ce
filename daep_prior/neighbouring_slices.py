"""The prior of a volume whose slices are alike: the network sees each slice alone, and three neighbours as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.images import RGB, one_per_image
from daep_prior.partition import VOLUME
from daep_prior.prior import MeanShiftPrior

if TYPE_CHECKING:  # Python 3.11 has it in typing
    from typing_extensions import Self

__all__ = ["VolumePrior", "slices_alike"]

#: Correlation of neighbouring slices, averaged over squares of ``POOLED`` pixels so that noise does not hide it, from
#: which on slices are alike. ``benchmarks/volumes.py``, six slices of each of six training images, denoised, beside
#: slice by slice: slices that are equal 1.0 to 1.8 dB better, that move by a pixel -0.1 to 1.2 (correlation 0.86 to
#: 1.00; 0.6 in one that is all noise), by two -0.1 to 1.2 (0.63 to 0.98), unrelated ones -0.1 to -0.2 (below 0.1).
ALIKE, POOLED = 0.85, 4
#: Share of the neighbours in the energy, where a slice has all three places in them.
NEIGHBOURS = 0.5


class VolumePrior(MeanShiftPrior):
    r"""A :class:`MeanShiftPrior` whose :meth:`adapted` copies see neighbouring slices of grey volumes.

    The energy is :math:`\sum_i (1 - \frac{n_i}{6}) R(x_i) + \frac16 \sum_i R(x_i, x_{i+1}, x_{i+2})` with
    :math:`n_i \le 3`, the number of triples with the slice ``i``. It is used for networks of any noise level that take
    colour images, for the volumes of a batch whose slices are :func:`slices_alike`.
    """

    #: The shape of the volumes that this copy is for, and which of them have slices that are alike, (B,).
    _volumes: tuple[torch.Size, Tensor] | None = None

    def adapted(self, x: Tensor) -> Self:
        """See :meth:`MeanShiftPrior.adapted`."""
        other = super().adapted(x)
        if x.ndim != VOLUME or other is self or other.transform is not None:
            return other
        parts = other.partition(x)
        if x.shape[1] == 1 and parts.replicas == RGB and not x.is_complex() and parts.slices >= RGB:
            alike = slices_alike(x, self._axis)
            other._volumes = (x.shape, alike) if bool(alike.any()) else None
        return other

    def description(self, x: Tensor) -> str:
        """See :meth:`MeanShiftPrior.description`."""
        return super().description(x) + (", and three neighbouring slices as colours" if self._mixes(x) else "")

    def value(self, x: Tensor, width: float | Tensor | None = None) -> Tensor:
        """See :meth:`MeanShiftPrior.value`."""
        if not self._mixes(x):
            return super().value(x, width)
        of_slices, (single, three) = self._energies(self._network_input(x, width)), self._weights(x)
        own = (single.flatten(1) * of_slices.reshape(x.shape[0], -1)).sum(1)
        return own + three.flatten() * super().value(self._triples(x), width)

    def gradient(
        self,
        x: Tensor,
        width: float | Tensor | None = None,
        *,
        noise_share: float = 1.0,
        jacobian: bool = True,
        flip: int = 0,
    ) -> Tensor:
        """See :meth:`MeanShiftPrior.gradient`."""

        def of(array: Tensor) -> Tensor:
            found: Tensor = super(VolumePrior, self).gradient(
                array, width, noise_share=noise_share, jacobian=jacobian, flip=flip
            )
            return found

        return self._mixed(x, of(x), of(self._triples(x))) if self._mixes(x) else of(x)

    def denoise(self, x: Tensor, width: float | Tensor | None = None) -> Tensor:
        """See :meth:`MeanShiftPrior.denoise`."""
        own = super().denoise(x, width)
        return self._mixed(x, own, super().denoise(self._triples(x), width)) if self._mixes(x) else own

    @property
    def _axis(self) -> int:
        """The axis along which the slices lie."""
        return next(axis for axis in (-3, -2, -1) if axis not in self.axes)

    def _mixes(self, x: Tensor) -> bool:
        return self._volumes is not None and x.shape == self._volumes[0]

    def _triples(self, x: Tensor) -> Tensor:
        """Three neighbouring slices as channels: (B, 1, D, H, W) -> (B, 3, D - 2, H, W), for slices along D."""
        return x[:, 0].unfold(self._axis, RGB, 1).movedim(-1, 1)

    def _mixed(self, x: Tensor, own: Tensor, of_triples: Tensor) -> Tensor:
        """The slices of ``own`` and those in the triples, with their weights."""
        single, three = self._weights(x)
        mixed, count = single * own, of_triples.shape[self._axis]
        for k in range(RGB):
            mixed.narrow(self._axis, k, count).add_(three * of_triples[:, k : k + 1])
        return mixed

    def _weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weight of each slice alone and of the triples, for each volume, in a shape that broadcasts with ``x``."""
        assert self._volumes is not None
        depth = x.shape[self._axis]
        places = torch.arange(depth)
        triples = torch.minimum(places, depth - 1 - places).add(1).clamp_max(min(RGB, depth - 2))
        shape = [1] * VOLUME
        shape[self._axis] = depth
        three = one_per_image(self._volumes[1].to(x) * (NEIGHBOURS / RGB), x)
        return 1 - three * triples.to(x).reshape(shape), three


def slices_alike(x: Tensor, axis: int = -3) -> Tensor:
    """Whether neighbouring slices of each volume are nearly the same, (B,).

    :param torch.Tensor x: (B, 1, D, H, W).
    :param int axis: along which the slices lie, counted from the end.
    """
    slices = x[:, 0].movedim(axis, 1).detach().float()
    size = min(POOLED, *slices.shape[-2:])
    pooled = F.avg_pool2d(slices, size).flatten(2)
    pooled = pooled - pooled.mean(2, keepdim=True)
    first, second = pooled[:, :-1].flatten(1), pooled[:, 1:].flatten(1)
    lengths = first.square().sum(1) * second.square().sum(1)
    return ((first * second).sum(1) > ALIKE * lengths.sqrt()) & (lengths > 0)
