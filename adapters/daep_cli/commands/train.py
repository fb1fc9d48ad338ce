"""``daep train``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from daep_cli.commands.shared_options import Device, Seed
from daep_cli.errors import Interrupted, named
from daep_cli.noise_option import Counts, parse_noise
from daep_cli.paths import check_output_file
from daep_cli.screen import say

if TYPE_CHECKING:
    from daep_prior import DAE

#: The shipped network of an architecture.
SHIPPED = {"unet": "dae", "conv": "dae-sigma25"}
#: Validations of a run, at least, and steps between them, at most. One takes the time of about five steps.
VALIDATIONS, VALIDATE_EVERY = 10, 1000
#: Of options with two defaults.
SCRATCH = "with --from-scratch"

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", exists=True, help="Training images and arrays (.npy, .npz, .zarr), searched with subfolders."
    ),
]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Weights: NAME.safetensors.")]
Architecture = Annotated[
    Literal["paper", "unet"],
    typer.Option(help="unet: noise-conditional, as the default network; paper: 20 x 64 convolutions for one level."),
]
Sigma = Annotated[
    float | None,
    typer.Option(metavar="SIGMA", help="Noise level, white is 255. paper: default 25; unet: default 0 to 75."),
]
Noise = Annotated[
    str | None,
    typer.Option(
        metavar="poisson:GAIN:READ",
        help="Noise of the sensor: half of the crops are shown with their values as `daep restore` stabilises them.",
    ),
]
Blur = Annotated[
    float | None,
    typer.Option(metavar="PIXELS", help="Blur the noisy crops by up to this standard deviation: it learns to sharpen."),
]
Steps = Annotated[
    int | None,
    typer.Option(metavar="N", help=f"Optimisation steps of the whole run; default 1000, {SCRATCH} 200000."),
]
Batch = Annotated[int | None, typer.Option(metavar="N", help=f"Crops a step; default 16, {SCRATCH} 32.")]
Crop = Annotated[
    int | None, typer.Option("--crop", "--patch", metavar="N", help="Height and width of a crop; default 64.")
]
Channels = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Channels of the network; default: those of the images, 3 if they differ."),
]
White = Annotated[
    float | None, typer.Option(metavar="VALUE", help="Value of white, such as 4095; default: found in each file.")
]
Black = Annotated[
    float | None,
    typer.Option(metavar="VALUE", help="Value of no light, as the offset of a camera; default: found in each file."),
]
Rate = Annotated[
    float | None, typer.Option(metavar="RATE", help=f"Largest learning rate; default 0.0002, {SCRATCH} 0.001.")
]
StartFrom = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Network to adapt, of the same architecture; default: the shipped one, dae or dae-sigma25.",
    ),
]
FromScratch = Annotated[bool, typer.Option("--from-scratch", help="Start from new weights.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an OUT without a checkpoint; with one, the run continues in any case."),
]


def train(
    folder: Folder,
    output: Output,
    network: Architecture = "unet",
    sigma: Sigma = None,
    noise: Noise = None,
    blur: Blur = None,
    steps: Steps = None,
    batch: Batch = None,
    crop: Crop = None,
    learning_rate: Rate = None,
    channels: Channels = None,
    white: White = None,
    black: Black = None,
    start_from: StartFrom = None,
    from_scratch: FromScratch = False,
    seed: Seed = 0,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Adapt the shipped network to the images below DIR, or train a new one.

    All formats of `daep restore` are read at their precision, pages and slices one after another; also .npy, .npz and
    .zarr arrays: (height, width), (images, height, width), or with channels first or last. Grey images train a network
    for grey images, two channels one for two. What cannot be used is skipped with one line.

    Some images are held out. The weights that denoise them best are written: the start, if training makes it worse.
    A checkpoint is written beside OUT. The same command continues from it, and goes further with more --steps. Ctrl-C
    ends the run after the current step, with a checkpoint. To start anew, name another OUT or remove the checkpoint.

    **Examples**

    * `daep train photos/ -o mine.safetensors`
    * `daep train frames/ -o mine.safetensors --noise poisson:2.1:6`
    * `daep train photos/ -o mine.safetensors --from-scratch --steps 100000`
    * `daep restore noisy.png -o clean.png --noise 25 --denoiser mine.safetensors`
    """
    from daep_cli.devices import pick_device
    from daep_cli.training_files import read_training_images
    from daep_cli.training_options import check_ends, settings, stated_noise
    from daep_prior import training
    from daep_prior.inference.heap import keep_freed_memory

    keep_freed_memory()
    if from_scratch and start_from is not None:
        raise ValueError(f"--start-from {start_from} and --from-scratch exclude each other; leave one out.")
    begun = training.checkpoint_path(output).exists()  # it replaces its own result; any other file is the user's
    check_output_file(output, (".safetensors",), (), overwrite or begun)
    place, counts = pick_device(device), _counts(noise)
    check_ends(white, black)
    built = make_network(network, sigma)
    start = None if from_scratch else _start(built, start_from)
    chosen = {"steps": steps, "batch": batch, "crop": crop, "learning_rate": learning_rate, "blur": blur}
    given = settings(start is not None, seed, stated_noise(noise, white, black), chosen)
    smallest = training.TrainingConfig(**given).crop  # a wrong number is noticed before the images are read
    images, channels = read_training_images(folder, channels, smallest, white, say, counts, black)
    config = training.TrainingConfig(network=make_network(network, sigma, channels).config(), **given)
    every = max(1, min(VALIDATE_EVERY, config.steps // VALIDATIONS))
    with _resumable(config.network):
        training.train(images, output, config, place, say, validate_every=every, start_from=start, overwrite=overwrite)


@contextmanager
def _resumable(network: dict[str, Any]) -> Iterator[None]:
    from daep_cli.training_options import other_run
    from daep_prior.training.checkpoint import OtherSettings

    try:
        yield
    except OtherSettings as error:
        raise ValueError(other_run(error, network)) from error
    except KeyboardInterrupt as error:
        if not error.args:  # a second Ctrl-C, without a checkpoint
            raise
        raise Interrupted(f"{error}; the same command continues from there.") from error


def _counts(noise: str | None) -> Counts | None:
    counts = parse_noise(noise)
    if counts is None or isinstance(counts, Counts):
        return counts
    raise ValueError(f"--noise {noise}: expected poisson:GAIN or poisson:GAIN:READ; --sigma sets a level.")


def _start(built: "DAE", start_from: str | None) -> str | None:
    """The network to start from: the given one, or the shipped one if it has the architecture."""
    from daep_prior.pretrained import read_training_form
    from daep_prior.training import fits

    name = start_from or SHIPPED[built.architecture]
    with named("--start-from ", name):
        suitable = fits(read_training_form(name), built)
    if suitable or start_from is None:
        return name if suitable else None
    raise ValueError(f"--start-from {name}: not of the architecture of --network and --sigma; choose these like it.")


def make_network(name: str, sigma: float | None, channels: int = 3) -> "DAE":
    """The network to train, with new weights. ``sigma`` is its noise level, white is 255."""
    from daep_prior import ConvDAE, UNetDAE

    if sigma is not None and not 0 < sigma <= 255:
        raise ValueError(f"--sigma {sigma:g}: expected a standard deviation above 0, up to 255 (white is 255).")
    if name == "paper":
        if sigma is None:
            return ConvDAE(batch_norm=False, channels=channels)
        return ConvDAE(sigma=sigma / 255, batch_norm=False, channels=channels)
    if sigma is None:
        return UNetDAE(channels=channels)
    return UNetDAE(sigma_range=None, sigma=sigma / 255, channels=channels)
