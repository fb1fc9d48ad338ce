"""``Options``: what is to be done to an image."""

from dataclasses import dataclass
from pathlib import Path

from daep_cli.kernels.reading import kernel_path
from daep_cli.noise_option import AUTO, Noise


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

    def __post_init__(self) -> None:
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
            raise ValueError("--mask: missing pixels look like noise to --noise auto; give a number, or leave it out.")
        if not given and not self.noise:
            raise ValueError("nothing to do; give --noise above 0 (denoise), --kernel, --scale or --mask.")

    @property
    def sigma(self) -> float | None:
        """Noise level for images in [0, 1]; 0 for super-resolution and inpainting without ``noise``.

        ``None``: estimated from each image.
        """
        return None if self.noise == AUTO else (self.noise or 0.0) / 255

    @property
    def task(self) -> str:
        """What is done, as a past participle."""
        if self.kernel is not None:
            return "deblurred"
        if self.scale is not None:
            return f"enlarged {self.scale} times"
        return "denoised" if self.mask is None else "inpainted"

    @property
    def files(self) -> list[Path]:
        """The files that are read besides the image. No output may replace them."""
        kernel = None if self.kernel is None else kernel_path(self.kernel)
        return [Path(name) for name in (kernel, self.mask, self.denoiser) if name is not None]
