"""``Job``: from photographs to deepinv's physics, through DAEP, and back."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_cli.devices import pick_device
from daep_cli.jobs.file_noise import NOISE_SIDE, light_noise, noise_beside_found_blur, noise_to_estimate
from daep_cli.jobs.forward_model import forward_model
from daep_cli.jobs.found_blur import with_found_blur
from daep_cli.jobs.measurement import Measurement
from daep_cli.jobs.restore_options import Options
from daep_cli.kernels.blind import BLIND
from daep_cli.kernels.choosing import fitted, one_of, without_effect
from daep_cli.kernels.reading import Kernel, is_image, read_kernel
from daep_cli.masks import Mask, check_marked, known_by_colour, read_mask
from daep_cli.networks import read_network
from daep_cli.noise_option import AUTO, Counts
from daep_cli.photographs.photo import MAX_PIXELS, Photo
from daep_cli.photographs.tone_curves import LINEAR, curve_of
from daep_cli.photographs.value_range import ranged
from daep_cli.photographs.writing import converted
from daep_cli.screen import iterations_text
from daep_deepinv import DAEP, DAEDenoiser, DivergenceError, Plan
from daep_deepinv.noise.given import SignalNoise
from daep_deepinv.noise.model import NoiseWarning
from daep_deepinv.noise_estimation.by_restoration import UnknownNoiseError
from daep_prior import load_dae
from daep_prior.blind.several_starts import FollowStarts
from daep_prior.restore_measurement import default_network
from daep_prior.tiling import SMALLEST_TILE

#: Largest number of pixels of a batch on a processor. Batches are faster only while an image is too small to use it
#: fully, and they take memory.
CPU_BATCH_PIXELS = 2**17
#: The same on a GPU, and the bytes of free memory for each pixel. Half of it is for the rest of the network's work.
GPU_BATCH_PIXELS, GPU_BYTES_A_PIXEL = 2**22, 2**14


@dataclass
class Job:
    """Restores any number of photographs with the same options.

    Its files are read and checked at once, except for the network, which is loaded when it is needed.
    """

    options: Options
    kernel: Kernel | None = field(init=False, default=None)
    mask: Mask | None = field(init=False, default=None)
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        options = self.options
        if options.tile is not None and options.tile < SMALLEST_TILE:
            raise ValueError(f"--tile {options.tile}: expected a size in pixels of at least {SMALLEST_TILE}.")
        if options.kernel is not None and options.kernel != BLIND:
            self.kernel = read_kernel(options.kernel, options.kernel_size)
        if options.mask is not None:
            self.mask = read_mask(options.mask)
        self.device = pick_device(options.device)

    @cached_property
    def network(self) -> DAEDenoiser:
        """The network of all photographs."""
        name, preset = self.options.denoiser, self.options.preset
        if name is not None:
            return DAEDenoiser(read_network(name, self.device))
        if self.options.kernel == BLIND:  # the search needs a network for all noise levels
            preset = None
        return DAEDenoiser(load_dae(default_network(preset, None), self.device))

    def model(self, measured: Measurement) -> DAEP:
        """The reconstructor of a measurement."""
        options = self.options
        return DAEP(
            sigma=measured.noise,
            preset=options.preset,
            denoiser=self.network,
            max_iter=options.iterations,
            seed=options.seed,
            tile="auto" if options.tile is None else options.tile,
            device=self.device,
            check_noise=options.check_noise and not measured.checked,
            bounds=measured.bounds,
            scale=None if options.white is None else 1.0,  # given: the values that matter are below it
        )

    # -- one photograph ------------------------------------------------------------------------------------------------

    def check(self, photo: Photo) -> None:
        """Refuse a photograph that does not fit the mask or the scale."""
        options = self.options
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

    def measure(self, photo: Photo, page: int = 0, pages: int = 1, follow: FollowStarts | None = None) -> Measurement:
        """Check a photograph, and find what is known about it.

        :param int page: its number in a stack of ``pages``, which has one range; that of one page is found here.
        :param Callable follow: is called in each round of the search for an unknown blur.
        """
        self.check(photo)
        options = self.options
        if photo.range is None:
            photo = ranged(photo, options.white, options.black)
        if isinstance(options.noise, Counts):  # no light is no count
            photo = replace(photo, range=(options.black or 0.0, photo.white))
        curve = curve_of(photo) if options.linear or (options.linear is None and photo.developed) else LINEAR
        known, kernel = self.known(photo, pages), self.kernel_of(photo, page, pages)
        measured = Measurement(photo, 0.0, known, kernel, None if curve is LINEAR else curve)
        if options.kernel == BLIND:
            found = (options.seed, options.kernel_size, options.varying, follow)
            measured = with_found_blur(measured, self.network, *found)
            if measured.kernel is None:  # sharp, or not found: without noise it is what it was
                return measured
            if options.noise == AUTO:
                return measured._replace(noise=noise_beside_found_blur(measured), checked=True)
        return measured._replace(noise=self.noise_of(measured))

    def noise_of(self, measured: Measurement) -> float | str | SignalNoise:
        """The noise of a measurement, see :class:`daep_cli.jobs.measurement.Measurement`."""
        options, photo, curve = self.options, measured.photo, measured.curve
        if options.noise == AUTO:
            return noise_to_estimate(measured)
        if isinstance(options.noise, Counts):
            if curve is not None:
                raise ValueError("--noise poisson: counts are amounts of light already; leave --linear out.")
            gain, read = (value / (photo.white - photo.black) for value in options.noise)
            if gain > 1:
                raise ValueError(
                    f"--noise poisson:{options.noise.gain:g}: one photon would be more than white, {photo.white:g}; "
                    "give the value of one photon in the file."
                )
            return SignalNoise(gain, read)
        level = options.level or 0.0
        return level if curve is None or level == 0 else light_noise(measured.middle(NOISE_SIDE), curve, level)

    def known(self, photo: Photo, pages: int) -> Mask | None:
        """Which pixels of a photograph are known, (H, W); ``None``: all, as of some ``pages`` of a stack."""
        missing, jpeg = self.options.missing, photo.metadata.lossy
        if missing is not None and pages == 1:
            check_marked([photo], missing)
        coloured = None if missing is None else known_by_colour(photo, missing, jpeg)
        masks = [mask for mask in (self.mask, coloured) if mask is not None]
        if photo.missing is not None:
            masks.append(~photo.missing)
        known = np.logical_and.reduce(masks) if masks else None
        if photo.missing is not None and photo.missing.all():
            raise ValueError("no pixel of the image has a value; all are NaN.")
        if known is not None and not known.any():
            raise ValueError("no pixel of the image is known; check --mask and --missing.")
        return known

    def kernel_of(self, photo: Photo, page: int, pages: int) -> Kernel | None:
        """The kernel of a photograph; ``None``: no blur, which is also what a kernel of one pixel says."""
        if self.kernel is None:
            return None
        name = str(self.options.kernel)
        kernel = fitted(self.kernel, photo.size, name, is_image(name))
        return without_effect(one_of(kernel, photo.colour.shape[2], page, pages, name))

    def plan_of(self, measured: Measurement) -> Plan:
        """How a measurement would be restored."""
        y, physics = self.problem([measured])
        with in_terms_of_options():
            (plan,) = self.model(measured).plan(y, physics)
        return plan

    # -- batches -------------------------------------------------------------------------------------------------------

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
        """The measurement (B, C, h, w), white is 1, and its forward model; any two of the batch are alike."""
        return forward_model(batch, self.options.scale or 1, self.device)

    def run(
        self, batch: Sequence[Measurement], callback: Callable[[Plan, int, Tensor], None] | None = None
    ) -> list[tuple[Photo, Plan]]:
        """Restore photographs in one batch. Each gets the result that it gets alone.

        :param batch: any two are alike.
        :param Callable callback: see :meth:`daep_deepinv.DAEP.forward`.
        :return: photographs of the same types, and how they were restored.
        """
        y, physics = self.problem(batch)
        with warnings.catch_warnings(), in_terms_of_options():
            warnings.simplefilter("ignore", NoiseWarning)  # the summary reports it for each image
            model = self.model(batch[0])
            x = model(y, physics, callback=callback)
        results = zip(x.split(1), batch, model.plans, strict=True)
        return [(self.photo(image, measured), plan) for image, measured, plan in results]

    def photo(self, x: Tensor, measured: Measurement) -> Photo:
        """The restored image (1, C, H, W), white is 1, as a photograph of the type of its source or of ``--format``."""
        photo = measured.result(x, self.options.scale or 1)
        return photo if self.options.format is None else converted(photo, self.options.format)

    def as_it_is(self, measured: Measurement) -> Photo:
        """A photograph of which nothing is known, in the size and type of the result."""
        photo = measured.as_it_is(self.options.scale or 1)
        return photo if self.options.format is None else converted(photo, self.options.format)

    def summary(self, plan: Plan, measured: Measurement) -> str:
        """What was done to an image, for the line that is printed about it."""
        if self.options.kernel == BLIND and measured.kernel is None:
            return f"unchanged: {measured.blur}"
        level, noise = 255 * plan.noise.level, share_missing(measured) + (f", {measured.blur}" if measured.blur else "")
        if self.options.noise == AUTO:
            words = f" ({plan.noise.words})" if plan.noise.law is not None else ""
            noise += f", noise {level:.2f}{words} as estimated"
        elif plan.noise.assumed is not None:
            noise += f", for noise {level:.3g} instead of {255 * plan.noise.assumed:.3g}: {plan.noise.kind} "
            noise += "(--no-check-noise trusts --noise)"
        if measured.curve is not None:
            noise += f", in linear light (tone curve {measured.curve.name})"
        values = range_of(measured.photo.range, self.options.white)
        noise += f", {values}" if values else ""
        return f"{self.options.task}{noise}, {iterations_text(len(plan.schedule))}, preset {plan.preset}"


def share_missing(measured: Measurement) -> str:
    """How many pixels are missing, in words; empty: none. Of an inverted mask, these are most."""
    return "" if measured.known is None else f", {100 * (1 - measured.known.mean()):.3g} % of the pixels missing"


def range_of(span: tuple[float, float] | None, given: float | None) -> str:
    """Black and white of a file, in words; empty: those of its type. ``given``: white, if the user gave it."""
    if span is None:
        return ""
    black = f"black {span[0]:.6g}, " if span[0] else ""
    return f"{black}white {span[1]:.6g}" + ("" if given else " (--white sets another)")


@contextmanager
def in_terms_of_options() -> Iterator[None]:
    """Errors of the solver, in the words of the command line."""
    try:
        yield
    except UnknownNoiseError as error:
        raise ValueError(f"--noise {AUTO}: the noise of this image cannot be estimated; give a number.") from error
    except DivergenceError as error:
        message = "the restoration diverged; check --noise and the kernel, or try another --preset."
        raise FloatingPointError(message) from error
