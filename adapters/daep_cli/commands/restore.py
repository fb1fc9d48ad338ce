"""``daep restore``."""

from pathlib import Path
from typing import Annotated

import typer

from daep_cli.commands.shared_options import Denoiser, Device, Iterations, Overwrite, Preset, Seed
from daep_cli.jobs.restore_options import Options
from daep_cli.kernels.blind import BLIND
from daep_cli.noise_option import AUTO, parse_noise
from daep_cli.paths import check_output_file, check_output_folder
from daep_cli.photographs.photo import WRITABLE
from daep_cli.screen import say

#: Preset after a kernel that is found, as that of ``BlindDAEP``.
BLIND_PRESET = "fast"

Source = Annotated[
    Path, typer.Argument(metavar="IN", exists=True, help="Image (PNG, JPEG, TIFF, FITS, raw), or a folder of them.")
]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="OUT", help="Result: a file, or a folder.")]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="SIGMA|auto|poisson:GAIN:READ",
        help="Noise standard deviation where white is 255; auto: estimate it from the image; poisson: the value of a "
        "photon in the file, and the read noise. Alone: denoise.",
    ),
]
Kernel = Annotated[
    str | None,
    typer.Option(
        metavar="KERNEL",
        help="Deblur; needs --noise, but for blind. The blur kernel: motion:LENGTH:ANGLE, gaussian:SIGMA, disk:RADIUS, "
        "spot:PHOTO, a file, blind: found in the image, or blind:PHOTO: found in another; see `daep kernel --help`.",
        autocompletion=lambda: ["motion:", "gaussian:", "disk:", "spot:", "blind"],
    ),
]
Scale = Annotated[
    int | None, typer.Option(metavar="N", min=2, max=8, help="Enlarge N times; noise-free if --noise is not given.")
]
Mask = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Inpaint. Image of the same size: white is known, black is missing."),
]
Tile = Annotated[
    int | None,
    typer.Option(metavar="N", help="Compute in tiles of N x N pixels, to save memory; default: if memory is short."),
]
CheckNoise = Annotated[
    bool,
    typer.Option(
        "--check-noise/--no-check-noise",
        help="With --kernel: compare --noise with the noise visible in the image. If that is stronger or not white, "
        "restore for it.",
    ),
]
Missing = Annotated[
    str | None,
    typer.Option(
        metavar="COLOUR", help='Inpaint. Pixels of this colour are missing: "#ff00ff"; nan: those without a value.'
    ),
]
White = Annotated[
    float | None,
    typer.Option(
        metavar="VALUE", help="Value of white in the file, such as 4095 for 12 bits; default: found and printed."
    ),
]
Black = Annotated[
    float | None,
    typer.Option(
        metavar="VALUE",
        help="Value of no light in the file, such as the offset of a camera; default 0, or the smallest if that is "
        "negative.",
    ),
]
Linear = Annotated[
    bool | None,
    typer.Option(
        "--linear/--no-linear",
        help="Restore amounts of light, as blur happens in light; the result has the tone curve of the file. Default "
        "for raw files.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE", help="Number type of the result: uint8, uint16, float32, ...; default that of the file."
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=2,
        help="Draw N samples of the posterior, for --uncertainty. 16 take 4 to 8 times as long.",
    ),
]
Uncertainty = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --samples: the standard deviation of each pixel; .png: a heat map with a legend, .tif: 16 bits.",
    ),
]
KernelSize = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=3,
        help="With --kernel blind or blind:PHOTO: side of the largest kernel that is sought, pixels; default an eighth "
        "of that image, 9 to 31.",
    ),
]
KernelOut = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="With --kernel blind: write the kernel that is found, as `daep kernel -o` does."),
]
Varying = Annotated[
    bool,
    typer.Option(
        "--varying", help="With --kernel blind: the blur varies over the image, by a turning camera or by region."
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Print how the image would be restored; write nothing. A blind kernel is sought. -o is not needed.",
    ),
]


def restore(
    source: Source,
    output: Output = None,
    noise: Noise = None,
    kernel: Kernel = None,
    scale: Scale = None,
    mask: Mask = None,
    missing: Missing = None,
    white: White = None,
    black: Black = None,
    linear: Linear = None,
    format: Format = None,
    samples: Samples = None,
    uncertainty: Uncertainty = None,
    kernel_size: KernelSize = None,
    kernel_out: KernelOut = None,
    varying: Varying = False,
    denoiser: Denoiser = None,
    preset: Preset = None,
    iterations: Iterations = None,
    seed: Seed = 0,
    device: Device = None,
    tile: Tile = None,
    check_noise: CheckNoise = True,
    explain: Explain = False,
    overwrite: Overwrite = False,
) -> None:
    """Denoise, deblur, enlarge or inpaint an image, or every image of a folder.

    --kernel deblurs, --scale enlarges, --mask and --missing inpaint, also together with these; --noise alone denoises.
    --kernel blind finds kernel and noise; its preset is fast. --uncertainty says how far each pixel may be off.

    **Files.** PNG, JPEG, TIFF (integers, and floats of 8 to 64 bits), FITS and raw. The result has the number type,
    range and metadata of the file, turned as EXIF says. Colours under transparent pixels do not change others. Pixels
    without a value (NaN) are missing. Results are written whole or not at all. Ctrl-C saves the latest image.

    **Stacks and large images.** The pages of a TIFF and the planes of a FITS cube are restored one after another,
    images of more than 33 million pixels in blocks. The same command continues after an interruption.

    **Folders**, without subfolders. Images whose result exists are skipped. Several processes may share one folder. An
    image that fails is reported. **Exit status.** 0; 2 after an error, one line on stderr; 130 after Ctrl-C, SIGTERM.

    **Examples**

    * `daep restore noisy.png -o clean.png --noise auto`
    * `daep restore blurred.jpg -o sharp.png --kernel motion:15:30 --noise auto`
    * `daep restore blurred.jpg -o sharp.png --kernel blind --kernel-out psf.png`
    * `daep restore torn.tif -o whole.tif --mask known.png --samples 16 --uncertainty sure.png`
    * `daep restore photos/ -o restored/ --noise 10`
    * `daep restore blurred.jpg --kernel psf.png --noise 2.55 --explain`
    """
    if output is None and not explain:
        raise ValueError("-o: the result has no name; give -o OUT, or --explain.")
    if kernel is not None and kernel.lower() == BLIND:
        kernel, noise, preset = BLIND, noise or AUTO, preset or BLIND_PRESET
    given = (kernel, scale, mask, denoiser, preset, iterations, seed, device, tile, check_noise, missing, white, black)
    others = (linear, format, samples, uncertainty, kernel_size, kernel_out, varying)
    options = Options(parse_noise(noise), *given, *others)
    if _explain(source, options) if output is None or explain else _restore(source, output, options, overwrite):
        raise typer.Exit(2)


def _explain(source: Path, options: Options) -> int:
    """The number of images that failed."""
    from daep_cli.jobs.explain import print_plans
    from daep_cli.jobs.folder import find_images
    from daep_cli.jobs.job import Job

    return print_plans(find_images(source)[0] if source.is_dir() else [source], Job(options))


def _restore(source: Path, output: Path, options: Options, overwrite: bool) -> int:
    """The number of images of a folder that failed."""
    if options.samples is not None:
        _sample(source, output, options, overwrite)
        return 0
    if source.is_dir():
        check_output_folder(output, source, WRITABLE)
        if options.kernel_out is not None:
            raise ValueError(
                f"--kernel-out {options.kernel_out}: each image has a kernel of its own; restore one image."
            )
    else:
        check_output_file(output, WRITABLE, (source, *options.files), overwrite, source)
        if options.kernel_out is not None:
            from daep_cli.kernels.drawing import WRITABLE as KERNEL_FILES

            if options.kernel_out.resolve() == output.resolve():
                raise ValueError(f"--kernel-out {options.kernel_out}: is the result of -o, too; choose another name.")
            inputs = (source, *options.files)
            check_output_file(options.kernel_out, KERNEL_FILES, inputs, overwrite, option="--kernel-out")
    from daep_cli.jobs.folder import restore_folder
    from daep_cli.jobs.job import Job
    from daep_cli.jobs.one_image import restore_file
    from daep_prior.inference.heap import keep_freed_memory

    keep_freed_memory()
    if not source.is_dir():
        restore_file(source, output, Job(options), overwrite)
        return 0
    tally = restore_folder(source, output, Job(options), overwrite)
    say(f"{output}: {tally}")
    return tally.failed


def _sample(source: Path, output: Path, options: Options, overwrite: bool) -> None:
    """The restored image, and its expected error by samples."""
    from daep_cli.jobs.job import Job
    from daep_cli.jobs.samples import check_uncertainty, sample_file
    from daep_prior.inference.heap import keep_freed_memory

    check_uncertainty(source, output, options, overwrite)
    check_output_file(output, WRITABLE, (source, *options.files), overwrite, source)
    keep_freed_memory()
    sample_file(source, output, Job(options), overwrite)
