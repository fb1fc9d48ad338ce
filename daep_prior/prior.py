"""The prior as one object on tensors: energy, gradient, denoiser and proximal step. Adapters of toolkits inherit it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from daep_prior.arguments import check_switch, checked_device, real_number
from daep_prior.channel_transform import ChannelTransform
from daep_prior.denoiser_traits import channels_of, check_takes_level, device_of, takes_volumes, trained_level
from daep_prior.network_input import NetworkInput, fitting_channels, network_input
from daep_prior.noise_fields import NoiseSource
from daep_prior.partition import DEFAULT_PLANE, VOLUME, Partition, check_plane, partition_of
from daep_prior.pretrained import load_dae
from daep_prior.score import Score
from daep_prior.tiling import Share, Tiler, TileSize

if TYPE_CHECKING:  # Python 3.11 has it in typing
    from typing_extensions import Self

__all__ = ["MeanShiftPrior", "proximal_descent"]

#: Upper bound on the Lipschitz constant of the energy's gradient, from which the inner proximal solver takes its step.
#: The residual Jacobian of a denoiser has norm about one; the curvature of the network adds a little.
GRADIENT_LIPSCHITZ = 2.0


class MeanShiftPrior(Score):
    r"""``R_s(x) = 1/2 ||A_s(x - eps) - x||^2`` (Bigdeli and Zwicker, VISAPP 2018, eq. 6 to 8) with a denoiser ``A``.

    :param denoiser: a DAE or any ``denoiser(x, sigma)`` on images (B, C, H, W) in [0, 1]; a shipped name; or a weight
        file. A denoiser with a number ``sigma`` as attribute is trained for that level alone, which is then the
        kernel width at every call.
    :param str noise: how eq. 8 is evaluated. ``"fresh"`` (the paper): every gradient draws new noise. ``"fixed"``: the
        same noise at every call, so that the gradient is exactly that of the value. ``"none"``: no noise.
    :param bool jacobian: ``False`` gives the DMSP form (no Jacobian, half the cost), which has no energy.
    :param int, list seed: of the noise; one for all images or one an image.
    :param float sigma: kernel width ``s`` when a call gives none, a standard deviation for images in [0, 1].
    :param str, torch.device device: where a network is put; default: where it is, the CPU for one that is loaded.
    :param tile: ``"auto"``: evaluate in tiles when the image does not fit into memory; a number: in tiles of that many
        pixels in height and width; ``None``: never. See :class:`daep_prior.tiling.Tiler`.
    :param tuple axes: which two axes of a volume, counted from its end, are height and width of its slices.
    :param ChannelTransform transform: of the channels before the network, as ``range_transform(-1, 1)``.
    :raises ValueError: unknown ``noise``, ``tile``, ``axes`` or ``device``, or a ``sigma`` that is not positive.
    :raises TypeError: not a denoiser, ``jacobian`` no bool, or ``transform`` no transform.

    >>> import torch
    >>> from daep_prior import MeanShiftPrior
    >>> prior = MeanShiftPrior("dae", sigma=25 / 255)
    >>> x = torch.rand(2, 3, 16, 16)
    >>> prior.value(x).shape, prior.gradient(x).shape
    (torch.Size([2]), torch.Size([2, 3, 16, 16]))
    """

    def __init__(
        self,
        denoiser: Callable[..., Tensor] | str | os.PathLike[str] = "dae",
        *,
        noise: Literal["fresh", "fixed", "none"] = "fresh",
        jacobian: bool = True,
        seed: int | Sequence[int] = 0,
        sigma: float | None = None,
        device: str | torch.device | None = None,
        tile: TileSize = "auto",
        axes: tuple[int, int] = DEFAULT_PLANE,
        transform: ChannelTransform | None = None,
    ):
        _check_options(noise, sigma, axes, jacobian, transform)
        self.noise, self.jacobian, self.sigma, self.axes, self.transform = noise, jacobian, sigma, axes, transform
        self._stream, self._tiler = NoiseSource(seed), Tiler(tile)
        self.denoiser: Any = _loaded(denoiser)
        if device is not None and isinstance(self.denoiser, torch.nn.Module):
            self.denoiser.to(checked_device(device))

    def __repr__(self) -> str:
        width = self.trained_width or self.sigma
        shown = "kernel width from the solver" if width is None else f"kernel width {255 * width:g}/255"
        return f"{type(self).__name__}({type(self.denoiser).__name__}, {shown}, noise={self.noise!r})"

    def reset(self) -> None:
        """Restart the noise, so that the same calls give the same results, and read the free memory again."""
        self._stream.reset()
        self._tiler.reset()

    def restarted(self, seed: int | Sequence[int] | None = None) -> Self:
        """A copy with its noise at the start, for one restoration. It shares the denoiser; threads do not disturb it.

        :param int, list seed: other seeds; default: the same.
        """
        other = copy.copy(self)
        other._stream, other._tiler = NoiseSource(self.seed if seed is None else seed), Tiler(self._tiler.tile)
        return other

    @property
    def seed(self) -> int | Sequence[int]:
        """Seed of the noise: one for all images, or one an image."""
        return self._stream.seed

    @property
    def tile(self) -> TileSize:
        """See the parameter."""
        return self._tiler.tile

    @property
    def device(self) -> torch.device:
        """Device of the denoiser; the CPU for one without parameters."""
        return device_of(self.denoiser)

    @property
    def trained_width(self) -> float | None:
        """The one level the denoiser is trained for; ``None`` for a noise-conditional one, or if it does not say."""
        trained = trained_level(self._network)
        return trained if trained is None or self.transform is None else trained * float(self.transform.scale)

    def kernel_width(self, width: float | Tensor | None = None) -> float | Tensor:
        """The kernel width of a call that gives ``width``. A ValueError is raised if there is none."""
        if self.trained_width is not None:
            return self.trained_width
        return _checked_width(self.sigma if width is None else width)

    def value(self, x: Tensor, width: float | Tensor | None = None) -> Tensor:
        """Energy of each image, always at the same noise (or none), so that values can be compared.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor width: kernel width; a number or one an image.
        :return: (B,).
        """
        seen = self._network_input(x, width)
        return seen.value(self._energies(seen))

    def _energies(self, seen: NetworkInput) -> Tensor:
        """The energy of each image that the network sees."""
        network, tiler, share = self._evaluation(seen.images)
        fields = self._fields(seen, fresh=False)
        return tiler.energy(network, seen.images, seen.level, fields, seen.parts.replicas, share)

    def gradient(
        self,
        x: Tensor,
        width: float | Tensor | None = None,
        *,
        noise_share: float = 1.0,
        jacobian: bool = True,
        flip: int = 0,
    ) -> Tensor:
        """Gradient of the energy (Algorithm 1), or the mean-shift vector ``x - A(x - eps)`` without the Jacobian.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float, torch.Tensor width: kernel width; a number or one an image.
        :param float noise_share: factor on the noise of eq. 8; 1: as in the paper, 0: none.
        :param bool jacobian: ``False``: without the Jacobian in this call.
        :param int flip: the network sees the images mirrored: see :func:`daep_prior.images.mirrored`.
        :return: (B, C, H, W).
        """
        seen, jacobian = self._network_input(x, width).flipped(flip), self.jacobian and jacobian
        fields = self._fields(seen, fresh=True, factor=noise_share)
        network, tiler, share = self._evaluation(seen.images)
        replicas = seen.parts.replicas
        return seen.gradient(tiler.gradient(network, seen.images, seen.level, fields, replicas, jacobian, share))

    def denoise(self, x: Tensor, width: float | Tensor | None = None) -> Tensor:
        """The denoiser at ``x``, without added noise; in tiles where the gradient would be."""
        seen = self._network_input(x, width)
        network, tiler, share = self._evaluation(seen.images)
        return seen.array(tiler.denoise(network, seen.replicated, seen.level, share))

    def prox(
        self,
        x: Tensor,
        weight: float | Tensor,
        width: float | Tensor | None = None,
        *,
        step: float | None = None,
        iterations: int = 10,
        tolerance: float = 1e-4,
    ) -> Tensor:
        r"""``argmin_z weight R_s(z) + 1/2 ||z - x||^2`` by gradient descent from ``x``, one gradient an inner step.

        :param torch.Tensor x: images (B, C, H, W) in [0, 1].
        :param float weight: weight of the energy.
        :param float, torch.Tensor width: kernel width; a number or one an image.
        :param float step: default ``1 / (1 + weight L)``, which decreases the inner objective.
        :param int iterations: maximum number of inner steps.
        :param float tolerance: stop when every image moves by less than this fraction of its norm.
        :return: (B, C, H, W).
        :raises ValueError: ``weight`` is negative or not finite.
        """
        return proximal_descent(lambda z: self.gradient(z, width), x, weight, step, iterations, tolerance)

    @property
    def _network(self) -> Any:
        """The denoiser without the wrapper of a toolkit, which an adapter removes."""
        return self.denoiser

    def _evaluation(self, x: Tensor) -> tuple[Any, Tiler, Share | None]:
        """The network to evaluate at ``x``, its tiler, and the processes that share the tiles (``None``: this one)."""
        return self.denoiser, self._tiler, None

    def partition(self, x: Tensor) -> Partition:
        """The images in which the network sees ``x``; printing it says which."""
        volumes = x.ndim == VOLUME and takes_volumes(self._network)
        return partition_of(x, channels_of(self._network), self.axes, volumes)

    def description(self, x: Tensor) -> str:
        """What the network sees of ``x``, in words."""
        return str(self.partition(x)) + ("" if self.transform is None else f", {self.transform.name}")

    def adapted(self, x: Tensor) -> Self:
        """A copy for arrays like ``x``, for example first images: it sees channels that the network does not take
        together in :func:`daep_prior.network_input.fitting_channels`, unless a ``transform`` is given."""
        if self.transform is not None or self.trained_width is not None:
            return self
        other = copy.copy(self)
        other.transform = fitting_channels(x, self.partition(x))
        return other

    def _network_input(self, x: Tensor, width: float | Tensor | None) -> NetworkInput:
        conditional = trained_level(self._network) is None
        return network_input(x, self.kernel_width(width), self.partition(x), self.transform, conditional)

    def _fields(self, seen: NetworkInput, fresh: bool, factor: float = 1.0) -> list[Tensor] | None:
        """The noise field of one evaluation, the next of the stream if ``fresh``; ``None``: no noise."""
        if self.noise == "none" or factor == 0:
            return None
        source = self._stream if fresh and self.noise == "fresh" else NoiseSource(self.seed)
        return seen.noise(source, factor)


def _loaded(denoiser: Any) -> Any:
    """The denoiser, or the network of that name, checked."""
    found = load_dae(denoiser) if isinstance(denoiser, (str, os.PathLike)) else denoiser
    if not callable(found):
        raise TypeError(
            f"denoiser: got {type(denoiser).__name__}; expected a DAE, a function of (x, sigma), a shipped name or "
            "a weight file."
        )
    check_takes_level(found)
    return found


def _check_options(
    noise: str, sigma: float | None, axes: tuple[int, int], jacobian: bool, transform: ChannelTransform | None
) -> None:
    if noise not in ("fresh", "fixed", "none"):
        raise ValueError(f"noise: got {noise!r}; expected 'fresh', 'fixed' or 'none'.")
    if sigma is not None:
        real_number("sigma", sigma, "a finite kernel width", positive=True)
    check_plane(axes)
    check_switch("jacobian", jacobian)
    if not isinstance(transform, ChannelTransform | None):
        raise TypeError(f"transform: got {transform!r}; expected a ChannelTransform, such as range_transform(-1, 1).")


def _checked_width(width: float | Tensor | None) -> float | Tensor:
    if width is None:
        raise ValueError("sigma: a noise-conditional denoiser needs a kernel width; give one, such as 25/255.")
    if not isinstance(width, (Real, Tensor)):
        raise TypeError(f"sigma: got {width!r}; expected a number, or a tensor of one an image.")
    return width


def proximal_descent(
    gradient: Callable[[Tensor], Tensor],
    x: Tensor,
    weight: float | Tensor,
    step: float | Tensor | None,
    iterations: int,
    tolerance: float,
) -> Tensor:
    """``argmin_z weight R(z) + 1/2 ||z - x||^2`` by gradient descent from ``x`` (B, ...).

    The parameters are those of :meth:`MeanShiftPrior.prox`, ``gradient`` is that of ``R``.
    """
    if not isinstance(weight, Tensor):
        real_number("weight", weight, "a finite weight")
    length = 1 / (1 + weight * GRADIENT_LIPSCHITZ) if step is None else step
    z = x
    for _ in range(iterations):
        move = length * (z - x + weight * gradient(z))
        z = z - move
        if bool((move.flatten(1).norm(dim=1) <= tolerance * z.flatten(1).norm(dim=1)).all()):
            break
    return z
