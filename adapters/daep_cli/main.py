"""The command line ``daep``: its commands and options, and how errors become one sentence and an exit status.

The commands themselves are in the modules of the same names, imported late so that ``--help`` answers at once.
"""

from __future__ import annotations

import warnings
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from daep_cli.errors import Interrupted, explain, one_line
from daep_cli.versions import installed

if TYPE_CHECKING:
    from daep_cli.noise import Noise

__all__ = ["app", "main"]

#: For completion and help; not imported from where they are defined, because that would take seconds.
PRESETS = ["annealed", "fast", "best", "paper", "paper-sr"]
#: What `daep compare` knows: without a network, or with the one that is shared; and what is downloaded.
METHODS = [
    *("daep-annealed", "daep-fast", "daep-best", "daep-paper", "daep-paper-sr"),
    *("pnp-hqs", "pnp-hqs-24", "pnp-admm", "red", "gs-pnp", "dmsp", "tv", "wavelets", "wiener", "richardson-lucy"),
]
DOWNLOADING = ["dpir-drunet", "epll"]
#: Below this a noise level is most likely meant for images in [0, 1].
FAINTEST_NOISE = 0.2
#: Exit status of anything the user can mend, as the option parser's own; of Ctrl-C (128 + SIGINT); and where nobody
#: reads what is written any more (128 + SIGPIPE).
BAD_INPUT, INTERRUPTED, NOBODY_LISTENS = 2, 130, 141


class _Command(TyperCommand):
    """Without the marks of newer versions of the option parser: braces around an argument, a type behind a flag."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))


class _Group(TyperGroup):
    """The same of all commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))


def _plain(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


app = typer.Typer(
    cls=_Group,
    name="daep",
    help="Restore photographs with a denoising autoencoder as image prior.",
    epilog="`daep COMMAND --help` explains a command and shows examples. `daep --install-completion` makes your shell "
    "complete commands and options.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"daep-prior {installed('daep-prior')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of ``daep`` itself."""


Denoiser = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="Network: a shipped one (see `daep info`) or a .safetensors file."),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"Solver and schedule: {', '.join(PRESETS)}; default {PRESETS[0]}.",
        autocompletion=lambda: PRESETS,
    ),
]
Iterations = Annotated[int | None, typer.Option(metavar="N", help="Iterations of the solver; default the preset's.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of all random numbers; the same seed gives the same image.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda, ...; default the GPU if there is one.")]
Tile = Annotated[
    int | None,
    typer.Option(metavar="N", help="Compute in tiles of N x N pixels, to save memory; default: only if it is short."),
]
CheckNoise = Annotated[
    bool,
    typer.Option(
        "--check-noise/--no-check-noise",
        help="With --kernel: restore for more than --noise where the image shows more, or noise that is not white.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")]


@app.command(cls=_Command)
def restore(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Image (PNG, JPEG, TIFF), or a folder of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Result: a file, or a folder.")],
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="SIGMA|auto",
            help="Noise standard deviation where white is 255; auto estimates it from the image. Alone: denoise.",
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            metavar="KERNEL",
            help="Deblur; needs --noise. The blur as motion:LENGTH:ANGLE, gaussian:SIGMA, disk:RADIUS or spot:PHOTO, "
            "or a file of it; `daep kernel --help` explains them.",
            autocompletion=lambda: ["motion:", "gaussian:", "disk:", "spot:"],
        ),
    ] = None,
    scale: Annotated[
        int | None, typer.Option(metavar="N", help="Enlarge N times (2 to 8); noise-free unless --noise says more.")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Inpaint. Image of the same size: white is known, black is missing."),
    ] = None,
    denoiser: Denoiser = None,
    preset: Preset = None,
    iterations: Iterations = None,
    seed: Seed = 0,
    device: Device = None,
    tile: Tile = None,
    check_noise: CheckNoise = True,
    overwrite: Overwrite = False,
) -> int:
    """Denoise, deblur, enlarge or inpaint an image, or every image of a folder.

    The task follows from the options: --kernel deblurs, --scale enlarges, --mask inpaints, --noise alone denoises.

    **Files.** PNG, JPEG and TIFF. 16-bit images stay 16-bit in PNG and TIFF; transparency and the colour profile are
    kept, the EXIF orientation is applied, other metadata is not copied. Nothing is replaced without --overwrite, and
    results are written whole or not at all. Ctrl-C saves the image as it stands.

    **Folders.** Of the images directly in IN, those whose result exists are skipped, so an interrupted job is continued
    by the same command, and several processes may work on one folder. Images that cannot be read are reported, and the
    others done. Subfolders are left alone.

    **What it does not do.** It does not find out by what kernel a photograph is blurred. `daep kernel --help` says what
    can be done about that; docs/own-photograph.md goes through an example.

    **Exit status.** 0; 2 if anything can be mended by you, with one line on stderr that says how; 130 after Ctrl-C.

    **Examples**

    `daep restore noisy.png -o clean.png --noise auto`

    `daep restore blurred.jpg -o sharp.png --kernel motion:15:30 --noise auto`

    `daep restore blurred.jpg -o sharp.png --kernel psf.png --noise 2.55`

    `daep restore small.png -o large.png --scale 3`

    `daep restore torn.tif -o whole.tif --mask known.png`

    `daep restore photos/ -o restored/ --noise 10`
    """
    _check_source(source)
    _check_output(output, source, overwrite, (mask, *(Path(name) for name in (kernel, denoiser) if name)))
    from daep_cli.restore import Job, Options, restore_file

    options = Options(_level(noise), kernel, scale, mask, denoiser, preset, iterations, seed, device, tile, check_noise)
    if not source.is_dir():
        restore_file(source, output, Job(options), overwrite, _say)
        return 0
    from daep_cli.folder import restore_folder

    tally = restore_folder(source, output, Job(options), overwrite, _say, _complain)
    _say(f"{output}: {tally}")
    return BAD_INPUT if tally.failed else 0


@app.command(cls=_Command)
def kernel(
    name: Annotated[
        str,
        typer.Argument(
            metavar="KERNEL", help="motion:LENGTH:ANGLE, gaussian:SIGMA, disk:RADIUS, spot:PHOTO, or a kernel's file."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT", help="Write it: .png, .tif, .npy or .txt.")
    ] = None,
    overwrite: Overwrite = False,
) -> int:
    """Draw, inspect and save a blur kernel: the picture that a point of light makes.

    Whatever this command takes, `daep restore --kernel` takes too.

    * **motion:LENGTH:ANGLE** is a straight shake or movement, in pixels, and degrees counter-clockwise from the
      horizontal as one sees the picture.

    * **gaussian:SIGMA** is a soft blur: the atmosphere, many optics; the standard deviation in pixels.

    * **disk:RADIUS** is a lens out of focus; the radius in pixels.

    * **spot:PHOTO** is read from a photograph of one point of light on a dark ground, taken with the same blur: a
      distant lamp, a star, a pinhole before a lamp. Its background is taken away, and it is cut out and centred.

    * A file is an image, .npy, .txt, or .npz:KEY.

    The kernel of a blurred photograph is not estimated from the photograph. If nothing is known of it: measure the
    trail of a small bright point in the picture and try shapes near it, or estimate it with a tool for blind
    deconvolution and give its file here. docs/own-photograph.md shows how.

    **Examples**

    `daep kernel motion:15:30`

    `daep kernel disk:4 -o defocus.png`

    `daep kernel spot:lamp.jpg -o psf.png`

    `daep restore blurred.jpg -o sharp.png --kernel psf.png --noise auto`
    """
    from daep_cli.kernel import run_kernel

    for line in run_kernel(name, output, overwrite):
        typer.echo(line)
    return 0


class Photograph(str, Enum):
    """Photographs that come with scikit-image."""

    astronaut = "astronaut"
    chelsea = "chelsea"
    coffee = "coffee"


@app.command(cls=_Command)
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Picture to write.")] = Path("demo.png"),
    image: Annotated[Photograph, typer.Option(help="Which photograph.")] = Photograph.astronaut,
    size: Annotated[int, typer.Option(metavar="N", help="Height and width in pixels.")] = 256,
    denoiser: Denoiser = None,
    preset: Preset = None,
    iterations: Iterations = None,
    seed: Seed = 0,
    device: Device = None,
    overwrite: Overwrite = False,
) -> int:
    """Blur a photograph, restore it, and write original, blurred and restored side by side.

    Needs no files of yours and no network. It takes about a minute on two processor cores.

    **Examples**

    `daep demo`

    `daep demo -o cat.png --image chelsea`
    """
    _check_output(output, None, overwrite)
    from daep_cli.demo import run_demo

    for line in run_demo(output, image.value, size, denoiser, preset, iterations, seed, device, overwrite):
        _say(line)
    return 0


@app.command(cls=_Command)
def compare(
    source: Annotated[Path, typer.Argument(metavar="IMAGE", help="Clean image (PNG, JPEG, TIFF), to be degraded.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the results.")],
    noise: Annotated[
        str | None, typer.Option(metavar="SIGMA", help="Noise to add, standard deviation where white is 255.")
    ] = None,
    kernel: Annotated[str | None, typer.Option(metavar="FILE", help="Blur kernel, as for `daep restore`.")] = None,
    scale: Annotated[int | None, typer.Option(metavar="N", help="Reduce N times, and enlarge again.")] = None,
    mask: Annotated[Path | None, typer.Option(metavar="FILE", help="Take away what is black in this image.")] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help=f"Which to compare: {', '.join(METHODS)}; by default all that suit the task. With a download, and "
            f"only when named: {', '.join(DOWNLOADING)}.",
        ),
    ] = None,
    crop: Annotated[int | None, typer.Option(metavar="N", help="Use the middle N x N pixels only.")] = None,
    lpips: Annotated[
        bool | None,
        typer.Option("--lpips/--no-lpips", help="LPIPS, whose network is downloaded; default if it is there."),
    ] = None,
    denoiser: Denoiser = None,
    seed: Seed = 0,
    device: Device = None,
    overwrite: Overwrite = False,
) -> int:
    """Degrade a clean image and restore it by many methods, with the same network wherever one is used.

    Writes a table (PSNR, SSIM, seconds, network evaluations), the images side by side with a magnified crop, PSNR on
    the way, and every restored image. A method that fails is a line of the table that says why.

    **Examples**

    `daep compare photo.png -o comparison --kernel psf.png --noise 2.55`

    `daep compare photo.png -o comparison --scale 3 --crop 128 --methods daep-annealed,pnp-hqs,tv`
    """
    _check_source(source)
    from daep_cli.compare import run_comparison
    from daep_cli.restore import Options

    options = Options(_level(noise), kernel, scale, mask, denoiser, seed=seed, device=device)
    run_comparison(source, output, options, methods, crop, lpips, overwrite, _print)
    return 0


class Network(str, Enum):
    """Architectures of :mod:`daep_prior.networks`."""

    paper = "paper"
    unet = "unet"


@app.command(cls=_Command)
def train(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Training images, searched with subfolders.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Weights: NAME.safetensors.")],
    network: Annotated[
        Network, typer.Option(help="paper: 20 x 64 convolutions for one noise level; unet: told the level, faster.")
    ] = Network.paper,
    sigma: Annotated[
        float | None,
        typer.Option(metavar="SIGMA", help="Noise level, white is 255. paper: default 25; unet: default 0 to 75."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Optimisation steps of the whole run; default 200000.")
    ] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Crops a step; default 32.")] = None,
    crop: Annotated[int | None, typer.Option(metavar="N", help="Height and width of a crop; default 64.")] = None,
    learning_rate: Annotated[float | None, typer.Option(metavar="RATE", help="At its highest; default 0.001.")] = None,
    start_from: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Start from these weights of the same network, to adapt it to DIR."),
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace an OUT without checkpoint; with one, the run goes on anyway."),
    ] = False,
) -> int:
    """Train a network on the images below DIR.

    A checkpoint stands beside OUT; the same command, given again, goes on from it, and with more --steps goes further.
    Ctrl-C ends the run after the step that is under way, with a checkpoint. To start anew, name another OUT or remove
    the checkpoint.

    **Examples**

    `daep train photos/ -o mine.safetensors`

    `daep train photos/ -o mine.safetensors --network unet --steps 100000`

    `daep restore noisy.png -o clean.png --noise 25 --denoiser mine.safetensors`
    """
    _check_source(folder)
    from daep_cli.train import run_training

    chosen = (sigma, steps, batch, crop, learning_rate, seed, device, overwrite, start_from)
    run_training(folder, output, network.value, *chosen, _say)
    return 0


@app.command(cls=_Command)
def info(device: Device = None) -> int:
    """Show versions, the device with its number type and layout, and the networks that are shipped.

    What a bug report needs to say.

    **Examples**

    `daep info`

    `daep info --device cuda`
    """
    from daep_cli.info import facts

    rows = facts(device)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {one_line(value)}")
    return 0


def _check_source(source: Path) -> None:
    """Here, because what reads it takes seconds to import."""
    if not source.exists():
        raise ValueError(f"{source}: no such file or folder; check its name.")


def _check_output(output: Path, source: Path | None, overwrite: bool, inputs: tuple[Path | None, ...] = ()) -> None:
    """What is checked again with all that a command reads, at once."""
    from daep_cli.images import SUFFIXES
    from daep_cli.outputs import check_output_file, check_output_folder

    if source is not None and source.is_dir():
        check_output_folder(output, source, SUFFIXES)
    else:
        check_output_file(output, SUFFIXES, (source, *inputs), overwrite, source=source)


def _level(noise: str | None) -> Noise | None:
    from daep_cli.noise import parse_noise

    level = None if noise is None else parse_noise(noise)
    if isinstance(level, float) and 0 < level < FAINTEST_NOISE:
        in_255 = f"{255 * level:.3g}"
        warnings.warn(
            f"--noise {noise} is almost none, because white is 255; if it is of images in [0, 1], give {in_255}.",
            stacklevel=2,
        )
    return level


def _say(line: str) -> None:
    typer.echo(one_line(line))


def _print(line: str) -> None:
    typer.echo(line)


def _remark(message: str) -> None:
    typer.echo(f"daep: {one_line(message)}", err=True)


def _complain(line: str) -> None:
    typer.echo(f"daep: error: {line}", err=True)


def _command() -> Any:
    """The option parser's command; the two options of shell completion work and stay out of the help."""
    command: Any = typer.main.get_command(app)
    for parameter in command.params:
        if parameter.name in ("install_completion", "show_completion"):
            parameter.hidden = True
    return command


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    :param list arguments: without the program's name; default those of the process.
    :return: exit status: 0, 2 for anything the user can mend, 130 after Ctrl-C, 141 if the output's reader has left.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: _remark(str(message))
            status: Any = _command().main(arguments, prog_name="daep", standalone_mode=False)
    except Interrupted as error:
        typer.echo(f"daep: interrupted {one_line(str(error))}", err=True)
        return INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):  # the latter is what older option parsers make of Ctrl-C
        status = INTERRUPTED
    except SystemExit as error:
        # `daep ... | head`: whoever listened has left; the option parser would make it the status of a crash
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return NOBODY_LISTENS
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        _complain(message)
        return BAD_INPUT
    if status == INTERRUPTED:
        typer.echo("daep: interrupted", err=True)
    return int(status or 0)
