"""``daep restore``: from options to deepinv's physics, through DAEP, to a file; one image or a folder of them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from deepinv.physics import Inpainting, LinearPhysics
from PIL import Image

from daep_cli import images, kernels
from daep_cli.devices import pick_device
from daep_cli.images import MAX_PIXELS, SUFFIXES, Array, Photo
from daep_cli.outputs import check_output_file
from daep_cli.tensors import centre, to_pixels, to_tensor
from daep_deepinv import DAEP, degradation
from daep_deepinv.reconstructor import PRESETS
from daep_prior import load_dae

__all__ = ["Job", "Options", "restore_file"]

SCALES = range(2, 9)


@dataclass(frozen=True)
class Options:
    """What the user asks for, apart from the image itself; nothing is read yet.

    :param float, None noise: standard deviation of the noise, pixel values 0 to 255; ``None``: not said.
    :param str kernel: file of the blur kernel, possibly with ``:key``.
    :param int scale: factor of super-resolution.
    :param Path mask: image of the known pixels.
    :param str denoiser: shipped network or weight file; ``None``: the preset's own.
    :param str preset: see :class:`daep_deepinv.DAEP`; ``None``: its best.
    :param int iterations: instead of the preset's number.
    :raises ValueError: a number out of range, or options that do not go together.
    """

    noise: float | None = None
    kernel: str | None = None
    scale: int | None = None
    mask: Path | None = None
    denoiser: str | None = None
    preset: str | None = None
    iterations: int | None = None
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        if self.noise is not None and not 0 <= self.noise <= 255:
            raise ValueError(f"--noise {self.noise:g}: expected a standard deviation from 0 to 255 (white is 255).")
        if self.scale is not None and self.scale not in SCALES:
            raise ValueError(f"--scale {self.scale}: expected a whole number from {SCALES[0]} to {SCALES[-1]}.")
        if self.iterations is not None and self.iterations < 1:
            raise ValueError(f"--iterations {self.iterations}: expected at least 1.")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"--seed {self.seed}: expected a whole number >= 0.")
        tasks = {"--kernel": self.kernel, "--scale": self.scale, "--mask": self.mask}
        given = [name for name, value in tasks.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} do not work together yet; give one of them.")
        if self.kernel is not None and self.noise is None:
            raise ValueError("--kernel: needs --noise, the noise of the photograph (0 to 255; try 2.55 if unknown).")
        if not given and not self.noise:
            raise ValueError("nothing to do; give --noise above 0 (denoise), --kernel, --scale or --mask.")

    @property
    def sigma(self) -> float:
        """Noise standard deviation for images in [0, 1]; super-resolution and inpainting are noise-free unless said."""
        return (self.noise or 0.0) / 255

    @property
    def task(self) -> str:
        """The task, as a past participle for the summary."""
        if self.kernel is not None:
            return "deblurred"
        if self.scale is not None:
            return f"enlarged {self.scale} times"
        return "denoised" if self.mask is None else "inpainted"


@dataclass
class Job:
    """A restoration that is ready to run on any number of images: all its files are read and checked.

    The weights are the exception: they are loaded when the first image is known to be good.

    :param bool progress: show a bar of the iterations of each image.
    :raises ValueError: unusable kernel, mask, preset, device or weights.
    :raises FileNotFoundError: a file that does not exist.
    """

    options: Options
    progress: bool = False
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
        kernel = options.kernel if options.kernel is None else kernels.kernel_path(options.kernel)
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
            raise ValueError(f"--scale {self.options.scale}: needs an image of at least 2 x 2 pixels.")
        if self.options.scale is not None and math.prod(photo.size) * self.options.scale**2 > MAX_PIXELS:
            size = " x ".join(str(n * self.options.scale) for n in photo.size)
            raise ValueError(f"--scale {self.options.scale}: the result of {size} pixels is too large.")

    @property
    def model(self) -> DAEP:
        """The reconstructor; its network is loaded at the first call."""
        if self._model is None:
            options, name = self.options, self.options.denoiser
            self._model = DAEP(
                sigma=options.sigma,
                preset=options.preset,
                denoiser=None if name is None else load_dae(name, self.device),
                max_iter=options.iterations,
                seed=options.seed,
                device=self.device,
                verbose=self.progress,
                show_progress_bar=self.progress,
            )
        return self._model

    def physics(self, photo: Photo) -> LinearPhysics:
        """deepinv's forward model from the image that is sought to this photograph."""
        width, height = photo.size
        channels = photo.colour.shape[2]
        if self.mask is not None:
            known = torch.from_numpy(self.mask).to(self.device, torch.float32).expand(1, channels, -1, -1)
            return Inpainting(img_size=(channels, height, width), mask=known, device=self.device)
        factor = self.options.scale or 1
        return degradation(
            self.kernel, factor, img_size=(channels, height * factor, width * factor), device=self.device
        )

    def run(self, photo: Photo) -> Photo:
        """Restore one photograph.

        :return: a photograph of the same type; with ``--scale`` that much larger, else of the same size.
        :raises ValueError: see :meth:`check`.
        :raises FloatingPointError: the result is not finite.
        """
        self.check(photo)
        y = to_tensor(photo).to(self.device)
        physics = self.physics(photo)
        if self.mask is not None:
            y = physics.A(y)  # whatever stands in the holes of the file is no measurement
        x = self.model(y, physics)
        if self.kernel is not None:
            x = centre(x, y)
        if not bool(x.isfinite().all()):
            raise FloatingPointError("the restoration diverged; check --noise and the kernel, or try another --preset.")
        colour = to_pixels(x, photo.colour.dtype)
        alpha = photo.alpha if photo.alpha is None or self.options.scale is None else _enlarge(photo.alpha, colour)
        return Photo(colour, alpha, photo.icc)

    @property
    def summary(self) -> str:
        """What was done, for the line that is printed afterwards."""
        return f"{self.options.task}, {self.model.max_iter} evaluations, preset {self.model.preset}"


def _enlarge(alpha: Array, colour: Array) -> Array:
    """Bicubic interpolation of the transparency to the size of ``colour``."""
    size = (colour.shape[1], colour.shape[0])
    smooth = np.asarray(Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    return smooth.round().clip(0, np.iinfo(alpha.dtype).max).astype(alpha.dtype)


def restore_file(source: Path, output: Path, job: Job, overwrite: bool = False) -> str:
    """Restore one file and write the result, whole or not at all.

    :return: one line that says what was done.
    :raises ValueError: unusable input or output; nothing has been computed or written.
    :raises OSError: the same from the file system.
    """
    check_output_file(output, SUFFIXES, (source, *job.files), overwrite)
    photo = images.read_photo(source)
    images.check_writable_as(photo, output)
    began = time.perf_counter()
    result = job.run(photo)
    seconds = time.perf_counter() - began
    images.write_photo(result, output, overwrite)
    width, height = result.size
    return f"{output}: {width} x {height} pixels in {seconds:.1f} s ({job.summary})"
