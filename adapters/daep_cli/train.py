"""``daep train``: options to :class:`daep_prior.training.TrainingConfig`, and a look at what would be overwritten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from daep_cli.devices import pick_device
from daep_cli.errors import Interrupted, named
from daep_cli.outputs import check_output_file
from daep_prior.networks import DAE, ConvDAE, UNetDAE
from daep_prior.pretrained import read_training_form
from daep_prior.training import TrainingConfig, train
from daep_prior.training.run import checkpoint_path

__all__ = ["make_network", "run_training"]


def make_network(name: str, sigma: float | None) -> DAE:
    """The network to train, with fresh weights.

    :param str name: ``"paper"`` or ``"unet"``.
    :param float sigma: noise level, white is 255; ``None``: 25 for the paper's network, and a U-Net that is told the
        level.
    :raises ValueError: a level that is not between 0 and 255.
    """
    if sigma is not None and not 0 < sigma <= 255:
        raise ValueError(f"--sigma {sigma:g}: expected a standard deviation above 0, up to 255 (white is 255).")
    if name == "paper":
        return ConvDAE(batch_norm=False) if sigma is None else ConvDAE(sigma=sigma / 255, batch_norm=False)
    return UNetDAE() if sigma is None else UNetDAE(sigma_range=None, sigma=sigma / 255)


def run_training(
    folder: Path,
    output: Path,
    network: str,
    sigma: float | None,
    steps: int | None,
    batch: int | None,
    crop: int | None,
    learning_rate: float | None,
    seed: int,
    device: str | None,
    overwrite: bool,
    start_from: str | None,
    log: Callable[[str], None],
) -> None:
    """Train, or go on training, and write the weights; ``None`` leaves a setting to :class:`TrainingConfig`.

    :raises ValueError: a setting out of range, unusable folder or output, or a checkpoint of another run.
    :raises FloatingPointError: the loss is no longer a number.
    :raises Interrupted: Ctrl-C; the message says at which step.
    """
    # a run that goes on replaces its own earlier result; anything else is the user's
    check_output_file(output, (".safetensors",), (), overwrite or checkpoint_path(output).exists())
    chosen: dict[str, Any] = {"steps": steps, "batch": batch, "crop": crop, "learning_rate": learning_rate}
    config = TrainingConfig(
        network=make_network(network, sigma).config(),
        seed=seed,
        **{name: value for name, value in chosen.items() if value is not None},
    )
    if start_from is not None:
        with named("--start-from ", start_from):
            read_training_form(start_from)
    try:
        train(folder, output, config, pick_device(device), log=log, start_from=start_from, overwrite=overwrite)
    except KeyboardInterrupt as error:
        if not error.args:  # at once, without a checkpoint
            raise
        raise Interrupted(f"{error}; the same command goes on from there.") from error
