"""``Options``: what is to be done to an image."""

import math
from dataclasses import dataclass
from pathlib import Path

from daep_cli.kernels.blind import BLIND
from daep_cli.kernels.reading import check_exists, kernel_path
from daep_cli.masks import parse_colour
from daep_cli.noise_option import AUTO, Counts, Noise
from daep_cli.photographs.writing import FORMATS


@dataclass(frozen=True)
class Options:
    """The options of ``daep restore`` except the files of the image. Nothing is read yet.

    :raises ValueError: a number out of range, or options that cannot be combined.
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
    missing: str | None = None
    white: float | None = None
    black: float | None = None
    linear: bool | None = None
    format: str | None = None
    samples: int | None = None
    uncertainty: Path | None = None
    kernel_size: int | None = None
    kernel_out: Path | None = None
    varying: bool = False

    def __post_init__(self) -> None:
        if self.kernel is not None and self.scale is not None:
            raise ValueError("--kernel and --scale do not work together yet; give one of them.")
        if self.white is not None and not 0 < self.white < math.inf:
            raise ValueError(f"--white {self.white:g}: expected a positive number, the value of white in the file.")
        if self.black is not None and not math.isfinite(self.black):
            raise ValueError(f"--black {self.black:g}: expected a number, the value of no light in the file.")
        if self.format is not None and self.format not in FORMATS:
            raise ValueError(f"--format {self.format}: expected one of {', '.join(FORMATS)}.")
        blind = (self.kernel or "").partition(":")[0] == BLIND
        if self.uncertainty is not None and self.samples is None:
            raise ValueError("--uncertainty: comes from samples; add their number, such as --samples 16.")
        if self.samples is not None and blind:
            raise ValueError(
                "--samples: their deviation does not contain the error of a kernel that is found; give the kernel, or "
                "leave --samples out."
            )
        for name in ("kernel_out", "varying"):
            if getattr(self, name) and self.kernel != BLIND:
                option = f"--{name.replace('_', '-')}"
                raise ValueError(f"{option}: is for a kernel that is found in the photograph; give --kernel {BLIND}.")
        if self.kernel_size is not None and not blind:
            raise ValueError(f"--kernel-size: is for a kernel that is found; give --kernel {BLIND} or {BLIND}:PHOTO.")
        if self.missing is not None:
            parse_colour(self.missing)
        if self.kernel is not None:
            check_exists(self.kernel)
            if self.noise is None:
                raise ValueError(
                    "--kernel: needs --noise, the noise of the photograph (0 to 255); give --noise auto if it is "
                    "unknown."
                )
        tasks = (self.kernel, self.scale, self.mask, self.missing)
        if all(task is None for task in tasks) and not self.noise:
            raise ValueError("nothing to do; give --noise above 0 (denoise), --kernel, --scale, --mask or --missing.")

    @property
    def level(self) -> float | None:
        """Noise level where white is 1; 0 for super-resolution and inpainting without ``noise``.

        ``None``: estimated from each image, or that of a sensor that counts.
        """
        return None if self.noise == AUTO or isinstance(self.noise, Counts) else (self.noise or 0.0) / 255

    @property
    def task(self) -> str:
        """What is done, as a past participle."""
        if self.kernel is not None:
            return "deblurred"
        if self.scale is not None:
            return f"enlarged {self.scale} times"
        return "denoised" if self.mask is None and self.missing is None else "inpainted"

    @property
    def files(self) -> list[Path]:
        """The files that are read besides the image. No output may replace them."""
        kernel = None if self.kernel is None else kernel_path(self.kernel)
        return [Path(name) for name in (kernel, self.mask, self.denoiser) if name is not None]
