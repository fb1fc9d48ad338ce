"""``daep compare``."""

from pathlib import Path
from typing import Annotated

import typer

from daep_cli.commands.shared_options import PRESETS, Denoiser, Device, Overwrite, Seed
from daep_cli.jobs.restore_options import Options
from daep_cli.kernels.blind import BLIND
from daep_cli.noise_option import AUTO, parse_noise

#: Those of :mod:`daep_compare`, whose import takes seconds: without a download, and with one.
METHODS = [
    *(f"daep-{preset}" for preset in PRESETS),
    *("pnp-hqs", "pnp-hqs-24", "pnp-admm", "red", "gs-pnp", "dmsp", "tv", "wavelets", "wiener", "richardson-lucy"),
]
DOWNLOADING = ["dpir-drunet", "epll"]

Source = Annotated[Path, typer.Argument(metavar="IMAGE", exists=True, help="Clean image (PNG, JPEG, TIFF) to degrade.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the results.")]
Noise = Annotated[
    str | None, typer.Option(metavar="SIGMA", help="Noise to add, standard deviation where white is 255.")
]
Kernel = Annotated[str | None, typer.Option(metavar="KERNEL", help="Blur, as for `daep restore`.")]
Scale = Annotated[int | None, typer.Option(metavar="N", min=2, max=8, help="Reduce N times, and enlarge again.")]
Mask = Annotated[Path | None, typer.Option(metavar="FILE", help="Remove the pixels that are black in this image.")]
Methods = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help=f"Which to compare: {', '.join(METHODS)}; default: all that suit the task. Only if named, because of a "
        f"download: {', '.join(DOWNLOADING)}.",
    ),
]
Crop = Annotated[int | None, typer.Option(metavar="N", help="Use the central N x N pixels only.")]
Lpips = Annotated[
    bool | None,
    typer.Option("--lpips/--no-lpips", help="LPIPS, whose network is downloaded; default: if it is there."),
]


def compare(
    source: Source,
    output: Output,
    noise: Noise = None,
    kernel: Kernel = None,
    scale: Scale = None,
    mask: Mask = None,
    methods: Methods = None,
    crop: Crop = None,
    lpips: Lpips = None,
    denoiser: Denoiser = None,
    seed: Seed = 0,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Degrade a clean image and restore it by many methods, all with the same network.

    Writes a table (PSNR, SSIM, seconds, network evaluations), the images side by side with a magnified crop, the PSNR
    of each iteration, and every restored image. A method that fails has a line in the table that says why.

    **Examples**

    * `daep compare photo.png -o comparison --kernel psf.png --noise 2.55`
    * `daep compare photo.png -o comparison --scale 3 --crop 128 --methods daep-annealed,pnp-hqs,tv`
    """
    if kernel == BLIND:
        raise ValueError("--kernel blind: the photograph of a comparison is sharp; give the kernel that shall blur it.")
    level = _level(noise)
    if kernel is not None and level is None:
        raise ValueError("--kernel: needs --noise, the noise that is added (0 to 255); --noise 0 adds none.")
    if not level and kernel is None and scale is None and mask is None:
        raise ValueError("nothing to compare; give --noise above 0 (denoise), --kernel, --scale or --mask.")
    options = Options(level, kernel, scale, mask, denoiser, seed=seed, device=device)
    from daep_cli.comparison_report import run_comparison
    from daep_prior.inference.heap import keep_freed_memory

    keep_freed_memory()
    run_comparison(source, output, options, methods, crop, lpips, overwrite)


def _level(noise: str | None) -> float | None:
    """The noise that is added, standard deviation where white is 255; ``None``: not given."""
    try:
        level = parse_noise(noise)
    except ValueError:
        level = AUTO
    if level is None or isinstance(level, float):
        return level
    raise ValueError(f"--noise {noise}: expected a standard deviation from 0 to 255 (white is 255); it is added.")
