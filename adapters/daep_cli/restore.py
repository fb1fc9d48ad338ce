"""``daep restore``: from options to deepinv's physics, through DAEP, to a file; one image or a folder of them."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from deepinv.physics import Inpainting, LinearPhysics
from PIL import Image
from torch import Tensor

from daep_cli import images, kernels
from daep_cli.devices import pick_device
from daep_cli.errors import Interrupted
from daep_cli.images import MAX_PIXELS, SUFFIXES, Array, Photo
from daep_cli.networks import read_network
from daep_cli.noise import AUTO, Noise, estimate_noise
from daep_cli.outputs import check_output_file
from daep_cli.progress import progress_bar
from daep_cli.tensors import centre, to_pixels, to_tensor
from daep_cli.watch import Watch, iterations
from daep_deepinv import DAEP, DivergenceError, degradation
from daep_deepinv.noise.assess import NoiseWarning
from daep_deepinv.noise.estimate import UnknownNoiseError
from daep_deepinv.reconstructor import ESTIMATE, PRESETS
from daep_prior.tiling import SMALLEST_TILE

__all__ = ["Job", "Measurement", "Options", "Unfinished", "restore_file"]

SCALES = range(2, 9)
#: Batches gain on a processor while an image is too small to keep it busy, and cost memory afterwards.
CPU_BATCH_PIXELS = 2**17
#: On a GPU they gain longer. Half of what is free is left to the rest of the network's work.
GPU_BATCH_PIXELS, GPU_BYTES_A_PIXEL = 2**22, 2**14


class Unfinished(KeyboardInterrupt):
    """Ctrl-C after some iterations.

    :param list photos: the images as they stood.
    :param int done: iterations done.
    :param int total: iterations of a whole run.
    """

    def __init__(self, photos: list[Photo], done: int, total: int):
        super().__init__(f"after {done} of {iterations(total)}")
        self.photos = photos


@dataclass(frozen=True)
class Options:
    """What the user asks for, apart from the image itself; nothing is read yet.

    :param float, str, None noise: standard deviation of the noise, pixel values 0 to 255; ``"auto"``: estimated from
        each image; ``None``: not said.
    :param str kernel: the blur kernel, see :func:`daep_cli.kernels.read_kernel`.
    :param int scale: factor of super-resolution.
    :param Path mask: image of the known pixels.
    :param str denoiser: shipped network or weight file; ``None``: the preset's own.
    :param str preset: see :class:`daep_deepinv.DAEP`; ``None``: its default.
    :param int iterations: instead of the preset's number.
    :param bool check_noise: see :class:`daep_deepinv.DAEP`.
    :param int tile: see :class:`daep_deepinv.DAEPrior`; ``None``: as memory allows.
    :raises ValueError: a number out of range, or options that do not go together.
    """

    noise: Noise | None = None
    kernel: str | None = None
    scale: int | None = None
    mask: Path | None = None
    denoiser: str | None = None
    preset: str | None = None
    iterations: int | None = None
    seed: int = 0
    device: str | None = None
    tile: int | None = None
    check_noise: bool = True

    def __post_init__(self) -> None:
        if self.scale is not None and self.scale not in SCALES:
            raise ValueError(f"--scale {self.scale}: expected a whole number from {SCALES[0]} to {SCALES[-1]}.")
        if self.iterations is not None and self.iterations < 1:
            raise ValueError(f"--iterations {self.iterations}: expected at least 1.")
        if self.tile is not None and self.tile < SMALLEST_TILE:
            raise ValueError(f"--tile {self.tile}: expected a size in pixels of at least {SMALLEST_TILE}.")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"--seed {self.seed}: expected a whole number >= 0.")
        tasks = {"--kernel": self.kernel, "--scale": self.scale, "--mask": self.mask}
        given = [name for name, value in tasks.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} do not work together yet; give one of them.")
        if self.kernel is not None and self.noise is None:
            raise ValueError(
                "--kernel: needs --noise, the noise of the photograph (0 to 255); give --noise auto if it is unknown."
            )
        if self.mask is not None and self.noise == AUTO:
            raise ValueError("--mask: the holes look like noise to --noise auto; give a number, or leave it out.")
        if not given and not self.noise:
            raise ValueError("nothing to do; give --noise above 0 (denoise), --kernel, --scale or --mask.")

    @property
    def sigma(self) -> float | None:
        """Noise standard deviation for images in [0, 1]; super-resolution and inpainting are noise-free unless said.

        ``None``: differs from image to image.
        """
        return None if self.noise == AUTO else (self.noise or 0.0) / 255

    @property
    def task(self) -> str:
        """The task, as a past participle for the summary."""
        if self.kernel is not None:
            return "deblurred"
        if self.scale is not None:
            return f"enlarged {self.scale} times"
        return "denoised" if self.mask is None else "inpainted"


@dataclass(frozen=True)
class Measurement:
    """One photograph that is ready to be restored.

    :param Photo photo: the measurement.
    :param float, None sigma: its noise standard deviation, images in [0, 1]; ``None``: the solver finds it out.
    """

    photo: Photo
    sigma: float | None


@dataclass
class Job:
    """A restoration that is ready to run on any number of images: all its files are read and checked.

    The weights are the exception: they are loaded when the first image is known to be good.

    :raises ValueError: unusable kernel, mask, preset, device or weights.
    :raises FileNotFoundError: a file that does not exist.
    """

    options: Options
    kernel: npt.NDArray[np.float64] | None = field(init=False, default=None)
    mask: npt.NDArray[np.bool_] | None = field(init=False, default=None)
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        if self.options.kernel is not None:
            self.kernel = kernels.read_kernel(self.options.kernel)
        if self.options.mask is not None:
            self.mask = kernels.read_mask(self.options.mask)
        if self.options.preset is not None and self.options.preset not in PRESETS:
            raise ValueError(f"--preset {self.options.preset}: expected one of {', '.join(PRESETS)}.")
        self.device = pick_device(self.options.device)
        self._model: DAEP | None = None

    @property
    def files(self) -> list[Path]:
        """The files that the job reads besides images, which no output may replace."""
        options = self.options
        kernel = None if options.kernel is None else kernels.kernel_path(options.kernel)
        return [Path(name) for name in (kernel, options.mask, options.denoiser) if name is not None]

    def check(self, photo: Photo) -> None:
        """Refuse a photograph that the kernel, the mask or the scale does not fit.

        :raises ValueError: with both sizes.
        """
        if self.kernel is not None:
            kernels.check_kernel_fits(self.kernel, photo.size, str(self.options.kernel))
        if self.mask is not None and self.options.mask is not None:
            kernels.check_mask_fits(self.mask, photo.size, self.options.mask)
        if self.options.scale is not None and min(photo.size) < 2:
            raise ValueError(
                f"--scale {self.options.scale}: needs an image of at least 2 x 2 pixels; give a larger one."
            )
        if self.options.scale is not None and math.prod(photo.size) * self.options.scale**2 > MAX_PIXELS:
            size = " x ".join(str(n * self.options.scale) for n in photo.size)
            raise ValueError(
                f"--scale {self.options.scale}: the result of {size} pixels is too large; "
                "give a smaller factor, or the image in parts."
            )

    @property
    def model(self) -> DAEP:
        """The reconstructor; its network is loaded at the first call."""
        if self._model is None:
            options, name = self.options, self.options.denoiser
            self._model = DAEP(
                sigma=ESTIMATE if options.noise == AUTO and self.kernel is not None else options.sigma,
                preset=options.preset,
                denoiser=None if name is None else read_network(name, self.device),
                max_iter=options.iterations,
                seed=options.seed,
                tile="auto" if options.tile is None else options.tile,
                device=self.device,
                check_noise=options.check_noise,
            )
        return self._model

    def measure(self, photo: Photo) -> Measurement:
        """Check a photograph, and find out its noise.

        :raises ValueError: see :meth:`check`; or the noise is to be estimated and cannot be.
        """
        self.check(photo)
        sigma = self.options.sigma
        if sigma is None and self.kernel is None:
            sigma = estimate_noise(to_tensor(photo))
        return Measurement(photo, sigma)

    def together(self, a: Measurement, b: Measurement) -> bool:
        """Whether two can be restored in one batch."""
        return a.photo.colour.shape == b.photo.colour.shape and a.sigma == b.sigma is not None

    @property
    def batch_pixels(self) -> int:
        """Pixels of the results that are restored in one batch, if they are of equal size."""
        if self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            return max(1, min(free // GPU_BYTES_A_PIXEL, GPU_BATCH_PIXELS))
        return CPU_BATCH_PIXELS

    def pixels(self, width: int, height: int) -> int:
        """Pixels of the result of an image of this size."""
        return width * height * (self.options.scale or 1) ** 2

    def physics(self, measured: Measurement) -> LinearPhysics:
        """deepinv's forward model from the image that is sought to this photograph."""
        width, height = measured.photo.size
        channels = measured.photo.colour.shape[2]
        if self.mask is not None:
            known = torch.from_numpy(self.mask).to(self.device, torch.float32).expand(1, channels, -1, -1)
            return Inpainting(img_size=(channels, height, width), mask=known, device=self.device)
        factor = self.options.scale or 1
        img_size = (channels, height * factor, width * factor)
        return degradation(self.kernel, factor, measured.sigma or 0.0, img_size=img_size, device=self.device)

    def run(self, batch: Sequence[Measurement], step: Callable[[float], None] | None = None) -> list[Photo]:
        """Restore photographs in one batch. Each gets the result that it would get alone.

        :param batch: any two of them :meth:`together`.
        :param Callable step: called after each iteration with the share of the run that it was.
        :return: photographs of the same types; with ``--scale`` that much larger, else of the same size.
        :raises FloatingPointError: the solver diverged.
        :raises Unfinished: Ctrl-C, with what there is.
        """
        y = torch.cat([to_tensor(measured.photo) for measured in batch]).to(self.device)
        physics = self.physics(batch[0])
        if self.mask is not None:
            y = physics.A(y)  # whatever stands in the holes of the file is no measurement
        photos = [measured.photo for measured in batch]
        with Watch(self.model, step) as watch, warnings.catch_warnings():
            warnings.simplefilter("ignore", NoiseWarning)  # the line that is printed afterwards says it of each image
            try:
                x = self.model(y, physics)
            except KeyboardInterrupt as error:
                x = watch.best(noisy=batch[0].sigma != 0)
                if x is None:
                    raise
                raise Unfinished(self._results(x, y, photos), watch.done, watch.total) from error
            except UnknownNoiseError as error:
                raise ValueError(
                    f"--noise {AUTO}: the noise of this image cannot be estimated; give a number."
                ) from error
            except DivergenceError as error:
                raise FloatingPointError(
                    "the restoration diverged; check --noise and the kernel, or try another --preset."
                ) from error
        return self._results(x, y, photos)

    def _results(self, x: Tensor, y: Tensor, photos: Sequence[Photo]) -> list[Photo]:
        x = x if self.kernel is None else centre(x, y)
        return [self._result(image[None], photo) for image, photo in zip(x, photos, strict=True)]

    def _result(self, x: Tensor, photo: Photo) -> Photo:
        colour = to_pixels(x, photo.colour.dtype)
        alpha = photo.alpha if photo.alpha is None or self.options.scale is None else _enlarge(photo.alpha, colour)
        return Photo(colour, alpha, photo.icc)

    def describe(self, index: int = 0) -> str:
        """What was done to an image of the last batch, for the line that is printed afterwards."""
        level = 255 * self.model.noise_level[index]
        noise = ""
        if self.options.noise == AUTO:
            noise = f", noise {level:.2f} as estimated"
        elif level > (told := self.options.noise or 0.0):
            noise = f", for noise {level:.3g}: it shows more than {told:g}, or is not white (--no-check-noise: as said)"
        return f"{self.options.task}{noise}, {iterations(self.model.max_iter)}, preset {self.model.preset}"


def _enlarge(alpha: Array, colour: Array) -> Array:
    """Bicubic interpolation of the transparency to the size of ``colour``."""
    size = (colour.shape[1], colour.shape[0])
    smooth = np.asarray(Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    return smooth.round().clip(0, np.iinfo(alpha.dtype).max).astype(alpha.dtype)


def restore_file(source: Path, output: Path, job: Job, overwrite: bool, report: Callable[[str], None]) -> None:
    """Restore one file and write the result, whole or not at all; on Ctrl-C, the best image so far.

    :param Callable report: called with lines that say what is done.
    :raises ValueError: unusable input or output; nothing has been computed or written.
    :raises OSError: the same from the file system.
    :raises Interrupted: Ctrl-C; the message says what was saved.
    """
    check_output_file(output, SUFFIXES, (source, *job.files), overwrite, source=source)
    photo = images.read_photo(source)
    images.check_writable_as(photo, output)
    measured = job.measure(photo)
    if job.options.noise == AUTO and measured.sigma is not None:
        report(f"{source}: noise of {255 * measured.sigma:.2f} estimated (white is 255); --noise says it otherwise")
    began = time.perf_counter()
    try:
        with progress_bar() as bar:
            bar.extend(1, source.name)
            (result,) = job.run([measured], bar.advance)
    except Unfinished as error:
        images.write_photo(error.photos[0], output, overwrite)
        again = "" if overwrite else "; give --overwrite to start again"
        raise Interrupted(f"{error}; {output} holds the image as it stood then{again}.") from error
    seconds = time.perf_counter() - began
    images.write_photo(result, output, overwrite)
    width, height = result.size
    report(f"{output}: {width} x {height} pixels in {seconds:.1f} s ({job.describe()})")
