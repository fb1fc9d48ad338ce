"""``BlindDAEP``: sharpen a photograph whose blur is unknown, ``BlindDAEP()(y)``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from deepinv.models import Reconstructor
from torch import Tensor, nn
from tqdm import tqdm

from daep_deepinv.blind.arguments import SMALLEST_SIDE, checked_photographs, seeds_of
from daep_deepinv.blind.doubts import warn_of_clipping
from daep_deepinv.blind.kernels import STARTS, found_blurs, stacked
from daep_deepinv.blind.prior import SHARPENER, as_blind_prior
from daep_deepinv.blind.restoration import deblurred
from daep_deepinv.blind.varying import found_varying_blur
from daep_deepinv.blind.varying_kernel import VaryingBlur, VaryingKernel
from daep_deepinv.checks import check_callable
from daep_prior.arguments import checked_seeds, real_number, whole_number
from daep_prior.blind import FoundBlur
from daep_prior.blind.several_starts import FollowStarts
from daep_prior.schedules import check_preset


class BlindDAEP(Reconstructor):
    r"""Blind deblurring with the denoising-autoencoder prior: kernel and image from the photograph alone.

    The kernel is found coarse to fine (:func:`daep_prior.blind.find_blur`): the mean shift :math:`A_s` at a wide kernel
    makes a sharp natural image of the present one, and the kernel is what blurs that image into the photograph. A
    network of its own, ``dae-blind``, also removes what a wrong kernel leaves. Several starts are compared. Then
    :class:`daep_deepinv.DAEP` restores the photograph with the kernel.

    A sharp photograph is returned as it is, with a kernel of one pixel. So is one whose blur is not found; this is
    warned of. Starts may also agree on a wrong kernel. If the restoration with it overshoots the photograph, a warning
    says so. Some wrong kernels pass, so compare the result with the photograph.

    ``varying=True``: the blur varies over the photograph (rotation of the camera, depth, corners of a lens). First the
    poses of a camera that moves and turns are sought, in photographs of 160 to 640 pixels; if they do not explain it,
    a kernel for each of a grid of overlapping regions. See
    :class:`daep_deepinv.blind.varying_kernel.VaryingKernel`.

    After a call, ``kernel`` contains the kernels (B, 1, n, n), ``confidence`` how likely each is right, 0 to 1, and
    ``verdict`` one of ``"found"``, ``"sharp"``, ``"not found"`` and ``"no texture"`` for each photograph.

    :param float sigma: noise standard deviation, images in [0, 1]; ``None``: estimated from each photograph. At least
        1.5/255 is assumed.
    :param int size: side of the largest kernel that is sought, pixels, at least 3; an even one counts as the next odd
        one. Default: an eighth of the photograph, 9 to 31. All values of a kernel lie in a square of this side.
    :param str preset: of :class:`daep_deepinv.DAEP`, for the restoration.
    :param denoiser: judges kernels and restores the photograph: a noise-conditional DAE, a shipped name or a weight
        file.
    :param sharpener: finds the kernel: a noise-conditional DAE that was trained on images restored with a wrong kernel.
    :param int starts: largest number of starts of a network; no more are made once the best agrees with all that have
        another scale factor, and its restoration does not overshoot. After two or more, the sharpener makes one that
        keeps faint arms, or three if that disagrees. 1: the fastest, without ``confidence``.
    :param bool varying: kernels that vary over the photograph.
    :param int, list seed: of the noise; one, or one a photograph. The same seed gives the same image.
    :param str, torch.device device: where both networks are put; default: where they are.
    :param bool verbose: with ``show_progress_bar``, show start, scale and round.
    :raises ValueError: a ``sigma`` that is negative, above 1 or not finite, an unknown preset, a denoiser for one
        level, or no whole number for ``size``, ``starts`` or ``seed``.
    :raises FileNotFoundError: ``denoiser`` or ``sharpener`` names no network.
    :raises TypeError: ``varying`` is not a bool.

    >>> import torch
    >>> from daep_deepinv import BlindDAEP
    >>> model = BlindDAEP(size=5, starts=1)
    >>> model(torch.rand(1, 3, 48, 48)).shape
    torch.Size([1, 3, 48, 48])
    """

    def __init__(
        self,
        sigma: float | None = None,
        size: int | None = None,
        preset: str = "fast",
        denoiser: nn.Module | str | os.PathLike[str] = "dae",
        *,
        sharpener: nn.Module | str | os.PathLike[str] = SHARPENER,
        starts: int = STARTS,
        varying: bool = False,
        seed: int | Sequence[int] = 0,
        device: str | torch.device | None = None,
        verbose: bool = False,
        show_progress_bar: bool = False,
    ):
        super().__init__()
        self.sigma = None if sigma is None else real_number("sigma", sigma, "a finite noise level")
        if self.sigma is not None and self.sigma > 1:
            raise ValueError(
                f"sigma: got {self.sigma:g}; expected at most 1, as images are in [0, 1]; perhaps {self.sigma:g}/255."
            )
        check_preset(preset)
        if not isinstance(varying, bool):
            raise TypeError(f"varying: got {varying!r}; expected True or False.")
        self.size = None if size is None else whole_number("size", size, SMALLEST_SIDE)
        self.preset, self.varying = preset, varying
        self.starts, self.seed = whole_number("starts", starts), checked_seeds(seed)
        self.prior = as_blind_prior(denoiser, sharpener, device)
        self._bar = verbose and show_progress_bar
        self._last: tuple[FoundBlur | VaryingBlur, ...] = ()

    def forward(self, y: Tensor, physics: Any = None, callback: FollowStarts | None = None) -> Tensor:
        """Sharpen photographs.

        :param torch.Tensor y: (B, C, h, w) in [0, 1], grey or colour. A photograph gives the same result alone and in a
            batch.
        :param physics: must be ``None``: with a known blur, use :class:`daep_deepinv.DAEP`.
        :param Callable callback: called after each round with the start, from 0, the factor of the scale, the round,
            from 0, and the kernel (n, n).
        :return: (B, C, h, w) in [0, 1]. Values beyond are clipped; this is warned of if ``y`` has such.
        :raises ValueError: ``y`` is not a batch of photographs in [0, 1], is too small for ``size``, or a physics is
            given.
        :raises TypeError: ``callback`` is no function.
        """
        if physics is not None:
            raise ValueError(
                f"physics: got {type(physics).__name__}; expected None, as the blur is estimated. With a known "
                "physics, use DAEP."
            )
        check_callable("callback", callback)
        y = checked_photographs(y)
        warn_of_clipping(y)
        seeds = seeds_of(self.seed, len(y))
        found: Sequence[FoundBlur | VaryingBlur]
        with _progress(callback, self._bar) as follow:
            if self.varying:
                options = (self.size, self.prior, self.starts)
                found = [found_varying_blur(one[None], *options, s, follow) for one, s in zip(y, seeds, strict=True)]
            else:
                found = found_blurs(y, self.size, self.prior, self.starts, self.seed, follow)
        images = [
            deblurred(one[None], blur.kernel, self.sigma, self.preset, self.prior.denoiser, seed)
            for one, blur, seed in zip(y, found, seeds, strict=True)
        ]
        self._last = tuple(found)
        return torch.cat(images)

    @property
    def kernel(self) -> Tensor | list[VaryingKernel]:
        """Of the last call: the kernels (B, 1, n, n), each with sum 1 and its centre in the middle pixel.

        With ``varying``: the kernels of each photograph, and where they stand.

        :raises RuntimeError: the model has not been called.
        """
        kernels = [one.kernel for one in self._found("kernel")]
        varying = [kernel for kernel in kernels if isinstance(kernel, VaryingKernel)]
        return varying or stacked([kernel for kernel in kernels if isinstance(kernel, Tensor)])

    @property
    def confidence(self) -> list[float]:
        """Of the last call, one a photograph, 0 to 1.

        Of a found kernel, the probability that its similarity to the true one is at least 0.95, see
        :func:`daep_prior.blind.confidence.confidence`; 0 with one start. Other verdicts: see
        :class:`daep_prior.blind.FoundBlur`. With ``varying``: see
        :class:`daep_deepinv.blind.varying_kernel.VaryingBlur`.

        :raises RuntimeError: the model has not been called.
        """
        return [one.confidence for one in self._found("confidence")]

    @property
    def verdict(self) -> list[str]:
        """Of the last call: ``"found"``, ``"sharp"``, ``"not found"`` or ``"no texture"``, one a photograph.

        :raises RuntimeError: the model has not been called.
        """
        return [one.verdict for one in self._found("verdict")]

    def _found(self, name: str) -> tuple[FoundBlur | VaryingBlur, ...]:
        if not self._last:
            raise RuntimeError(f"{name}: BlindDAEP has not been called; call model(y) first.")
        return self._last

    def __repr__(self) -> str:
        """The arguments; not the two networks."""
        named = ("sigma", "size", "preset", "starts", "varying", "seed")
        return f"BlindDAEP({', '.join(f'{name}={getattr(self, name)!r}' for name in named)})"


@contextmanager
def _progress(callback: FollowStarts | None, shown: bool) -> Iterator[Callable[[int, float, int, Tensor], None] | None]:
    """``callback``, which also moves a progress bar if that is ``shown``."""
    if not shown:
        yield callback
        return
    with tqdm(unit=" rounds") as bar:

        def advance(start: int, factor: float, number: int, kernel: Tensor) -> None:
            bar.set_description(f"start {start + 1}, scale {factor:.2f}, round {number + 1}")
            bar.update()
            if callback is not None:
                callback(start, factor, number, kernel)

        yield advance
