"""``Job``: from photographs to deepinv's physics, through DAEP, and back."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from deepinv.physics import Inpainting, LinearPhysics
from PIL import Image
from torch import Tensor

from daep_cli.devices import pick_device
from daep_cli.jobs.restore_options import Options
from daep_cli.kernels.reading import check_kernel_fits, read_kernel
from daep_cli.masks import read_mask
from daep_cli.networks import read_network
from daep_cli.noise_option import AUTO
from daep_cli.photographs.photo import MAX_PIXELS, Array, Photo
from daep_cli.photographs.tensors import centre, to_pixels, to_tensor
from daep_cli.screen import iterations_text
from daep_deepinv import DAEP, DivergenceError, Plan, degradation
from daep_deepinv.noise.by_restoration import UnknownNoiseError
from daep_deepinv.noise.model import NoiseWarning
from daep_deepinv.noise.patches import patch_level
from daep_deepinv.reconstructor import ESTIMATE
from daep_prior.schedules import PRESETS
from daep_prior.tiling import SMALLEST_TILE

#: Largest number of pixels of a batch on a processor. Batches are faster only while an image is too small to use it
#: fully, and they take memory.
CPU_BATCH_PIXELS = 2**17
#: The same on a GPU, and the bytes of free memory for each pixel. Half of it is for the rest of the network's work.
GPU_BATCH_PIXELS, GPU_BYTES_A_PIXEL = 2**22, 2**14


class Measurement(NamedTuple):
    """A photograph, and its noise level for images in [0, 1]; ``None``: the solver estimates it."""

    photo: Photo
    sigma: float | None


@dataclass
class Job:
    """Restores any number of photographs with the same options.

    Its files are read and checked at once, except for the network, which is loaded when it is needed.
    """

    options: Options
    kernel: npt.NDArray[np.float64] | None = field(init=False, default=None)
    mask: npt.NDArray[np.bool_] | None = field(init=False, default=None)
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        options = self.options
        if options.tile is not None and options.tile < SMALLEST_TILE:
            raise ValueError(f"--tile {options.tile}: expected a size in pixels of at least {SMALLEST_TILE}.")
        if options.kernel is not None:
            self.kernel = read_kernel(options.kernel)
        if options.mask is not None:
            self.mask = read_mask(options.mask)
        if options.preset is not None and options.preset not in PRESETS:
            raise ValueError(f"--preset {options.preset}: expected one of {', '.join(PRESETS)}.")
        self.device = pick_device(options.device)

    @cached_property
    def model(self) -> DAEP:
        """The reconstructor."""
        options, name = self.options, self.options.denoiser
        return DAEP(
            sigma=ESTIMATE if options.noise == AUTO and self.kernel is not None else options.sigma,
            preset=options.preset,
            denoiser=None if name is None else read_network(name, self.device),
            max_iter=options.iterations,
            seed=options.seed,
            tile="auto" if options.tile is None else options.tile,
            device=self.device,
            check_noise=options.check_noise,
        )

    # -- one photograph ------------------------------------------------------------------------------------------------

    def check(self, photo: Photo) -> None:
        """Refuse a photograph that does not fit the kernel, the mask or the scale."""
        options = self.options
        if self.kernel is not None:
            check_kernel_fits(self.kernel, photo.size, str(options.kernel))
        if self.mask is not None and self.mask.shape[::-1] != photo.size:
            sizes = [f"{width} x {height}" for width, height in (self.mask.shape[::-1], photo.size)]
            raise ValueError(
                f"--mask {options.mask}: {sizes[0]} pixels, but the image has {sizes[1]}; make them equal."
            )
        if options.scale is not None and min(photo.size) < 2:
            raise ValueError(f"--scale {options.scale}: needs an image of at least 2 x 2 pixels; give a larger one.")
        if options.scale is not None and self.pixels(*photo.size) > MAX_PIXELS:
            size = " x ".join(str(n * options.scale) for n in photo.size)
            raise ValueError(
                f"--scale {options.scale}: the result of {size} pixels is too large; give a smaller factor, or cut the "
                "image into parts."
            )

    def measure(self, photo: Photo) -> Measurement:
        """Check a photograph, and estimate its noise if the solver cannot."""
        self.check(photo)
        sigma = self.options.sigma
        if sigma is None and self.kernel is None:
            try:
                sigma = patch_level(to_tensor(photo))
            except ValueError as error:
                raise ValueError(f"--noise {AUTO}: {error}") from error
        return Measurement(photo, sigma)

    def plan(self, photo: Photo) -> Plan:
        """How a photograph would be restored."""
        y, physics = self.problem([self.measure(photo)])
        with _in_terms_of_options():
            (plan,) = self.model.plan(y, physics)
        if self.options.noise == AUTO and plan.noise.source == "stated":  # estimated by measure, stated by the physics
            plan = replace(plan, noise=replace(plan.noise, source="estimated"))
        return plan

    # -- batches -------------------------------------------------------------------------------------------------------

    def together(self, a: Measurement, b: Measurement) -> bool:
        """Whether two photographs can be restored in one batch."""
        return a.photo.colour.shape == b.photo.colour.shape and a.sigma == b.sigma is not None

    def pixels(self, width: int, height: int) -> int:
        """Number of pixels of the result for an image of this size."""
        return width * height * (self.options.scale or 1) ** 2

    @property
    def batch_pixels(self) -> int:
        """Largest number of pixels of the results of a batch."""
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return max(1, min(free // GPU_BYTES_A_PIXEL, GPU_BATCH_PIXELS))
        return CPU_BATCH_PIXELS

    def problem(self, batch: Sequence[Measurement]) -> tuple[Tensor, LinearPhysics]:
        """The measurement (B, C, h, w) in [0, 1] and its forward model; any two of the batch are :meth:`together`."""
        y = torch.cat([to_tensor(measured.photo) for measured in batch]).to(self.device)
        channels, height, width = y.shape[1:]
        if self.mask is not None:
            known = torch.from_numpy(self.mask).to(self.device, torch.float32).expand(1, channels, -1, -1)
            physics = Inpainting(img_size=(channels, height, width), mask=known, device=self.device)
            return physics.A(y), physics  # the values of missing pixels in the file are no measurement
        factor = self.options.scale or 1
        img_size = (channels, height * factor, width * factor)
        return y, degradation(self.kernel, factor, batch[0].sigma or 0.0, img_size=img_size, device=self.device)

    def run(
        self, batch: Sequence[Measurement], callback: Callable[[Plan, int, Tensor], None] | None = None
    ) -> list[tuple[Photo, Plan]]:
        """Restore photographs in one batch. Each gets the result that it gets alone.

        :param batch: any two are :meth:`together`.
        :param Callable callback: see :meth:`daep_deepinv.DAEP.forward`.
        :return: photographs of the same types, and how they were restored.
        """
        y, physics = self.problem(batch)
        with warnings.catch_warnings(), _in_terms_of_options():
            warnings.simplefilter("ignore", NoiseWarning)  # the summary reports it for each image
            x = self.model(y, physics, callback=callback)
        results = zip(x.split(1), batch, self.model.plans, strict=True)
        return [(self.photo(image, measured.photo), plan) for image, measured, plan in results]

    def photo(self, x: Tensor, source: Photo) -> Photo:
        """The image (1, C, H, W) in [0, 1] as a photograph of the type of its source."""
        if self.kernel is not None:
            x = centre(x, to_tensor(source))
        colour = to_pixels(x, source.colour.dtype)
        alpha = source.alpha
        return Photo(colour, alpha if alpha is None else _resized(alpha, colour), source.icc)

    def summary(self, plan: Plan) -> str:
        """What was done to an image, for the line that is printed about it."""
        level, noise = 255 * plan.noise.level, ""
        if self.options.noise == AUTO:
            noise = f", noise {level:.2f} as estimated"
        elif plan.noise.assumed is not None:
            noise = f", for noise {level:.3g} instead of {255 * plan.noise.assumed:.3g}: {plan.noise.kind} "
            noise += "(--no-check-noise trusts --noise)"
        return f"{self.options.task}{noise}, {iterations_text(len(plan.schedule))}, preset {plan.preset}"


@contextmanager
def _in_terms_of_options() -> Iterator[None]:
    try:
        yield
    except UnknownNoiseError as error:
        raise ValueError(f"--noise {AUTO}: the noise of this image cannot be estimated; give a number.") from error
    except DivergenceError as error:
        message = "the restoration diverged; check --noise and the kernel, or try another --preset."
        raise FloatingPointError(message) from error


def _resized(alpha: Array, colour: Array) -> Array:
    """The transparency in the size of ``colour``, by bicubic interpolation."""
    if alpha.shape == colour.shape[:2]:
        return alpha
    size = (colour.shape[1], colour.shape[0])
    smooth = np.asarray(Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    return smooth.round().clip(0, np.iinfo(alpha.dtype).max).astype(alpha.dtype)
