"""``daep train``."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from daep_cli.commands.shared_options import Device, Seed
from daep_cli.errors import Interrupted, named
from daep_cli.paths import check_output_file
from daep_cli.screen import say

if TYPE_CHECKING:
    from daep_prior import DAE


Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", exists=True, help="Training images and arrays (.npy, .npz, .zarr), searched with subfolders."
    ),
]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Weights: NAME.safetensors.")]
Architecture = Annotated[
    Literal["paper", "unet"],
    typer.Option(help="paper: 20 x 64 convolutions, for one noise level; unet: noise-conditional, and faster."),
]
Sigma = Annotated[
    float | None,
    typer.Option(metavar="SIGMA", help="Noise level, white is 255. paper: default 25; unet: default 0 to 75."),
]
Steps = Annotated[int | None, typer.Option(metavar="N", help="Optimisation steps of the whole run; default 200000.")]
Batch = Annotated[int | None, typer.Option(metavar="N", help="Crops a step; default 32.")]
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
Rate = Annotated[float | None, typer.Option(metavar="RATE", help="Largest learning rate; default 0.001.")]
StartFrom = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="Start from these weights of the same network, to adapt it to DIR."),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an OUT without a checkpoint; with one, the run continues in any case."),
]


def train(
    folder: Folder,
    output: Output,
    network: Architecture = "paper",
    sigma: Sigma = None,
    steps: Steps = None,
    batch: Batch = None,
    crop: Crop = None,
    learning_rate: Rate = None,
    channels: Channels = None,
    white: White = None,
    start_from: StartFrom = None,
    seed: Seed = 0,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Train a network on the images below DIR.

    All formats of `daep restore` are read at their precision, pages and slices one after another; also .npy, .npz and
    .zarr arrays: (height, width), (images, height, width), or with channels first or last. Grey images train a network
    for grey images, two channels one for two. What cannot be used is skipped with one line.

    A checkpoint is written beside OUT. The same command continues from it, and goes further with more --steps. Ctrl-C
    ends the run after the current step, with a checkpoint. To start anew, name another OUT or remove the checkpoint.

    **Examples**

    * `daep train photos/ -o mine.safetensors`
    * `daep train photos/ -o mine.safetensors --network unet --steps 100000`
    * `daep restore noisy.png -o clean.png --noise 25 --denoiser mine.safetensors`
    """
    from daep_cli.devices import pick_device
    from daep_cli.training_files import read_training_images
    from daep_prior import training
    from daep_prior.inference.heap import keep_freed_memory
    from daep_prior.pretrained import read_training_form
    from daep_prior.training import checkpoint_path

    keep_freed_memory()
    # a run that continues replaces its own result; any other file is the user's
    check_output_file(output, (".safetensors",), (), overwrite or checkpoint_path(output).exists())
    chosen = {"steps": steps, "batch": batch, "crop": crop, "learning_rate": learning_rate}
    given = {name: value for name, value in chosen.items() if value is not None}
    if start_from is not None:
        with named("--start-from ", start_from):
            read_training_form(start_from)
    place = pick_device(device)
    if white is not None and not 0 < white < math.inf:
        raise ValueError(f"--white {white:g}: expected a positive number, the value of white in the files.")
    make_network(network, sigma)  # a wrong --sigma is noticed before the images are read
    smallest = training.TrainingConfig(**given).crop  # type: ignore[arg-type]
    images, channels = read_training_images(folder, channels, smallest, white, say)
    built = make_network(network, sigma, channels)
    config = training.TrainingConfig(network=built.config(), seed=seed, **given)  # type: ignore[arg-type]
    try:
        training.train(images, output, config, place, log=say, start_from=start_from, overwrite=overwrite)
    except KeyboardInterrupt as error:
        if not error.args:  # a second Ctrl-C, without a checkpoint
            raise
        raise Interrupted(f"{error}; the same command continues from there.") from error


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
