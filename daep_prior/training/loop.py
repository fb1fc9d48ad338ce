"""The training loop behind ``daep train``.

All random numbers (crops, flips, noise) are functions of (seed, step), and a checkpoint contains everything else. So a
run that is killed at any moment resumes to the same bits.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from daep_prior.pretrained import read_card, read_training_form, save_dae
from daep_prior.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from daep_prior.training.config import TrainingConfig
from daep_prior.training.data import (
    TrainingImage,
    as_training_images,
    load_training_images,
    prefetched,
    random_generator,
)
from daep_prior.training.run import TrainingRun
from daep_prior.training.validation import validation_psnr

if TYPE_CHECKING:
    import numpy as np

__all__ = ["train"]

#: Number of steps between checks that the loss is finite. Chosen by hand: each check waits for the GPU.
CHECK_EVERY = 100
#: Of so many images, one is held out at most. Chosen by hand.
LEAST_SHARE = 4

#: Difference of two figures on the same images, dB, that another machine may make. Chosen by hand.
SAME_IMAGES = 0.005

Log = Callable[[str], None]


def train(
    images: str | Path | Sequence[TrainingImage | np.ndarray],
    output: str | Path,
    config: TrainingConfig | None = None,
    device: str | torch.device | None = None,
    log: Log = print,
    checkpoint_seconds: float = 180.0,
    validate_every: int = 1000,
    start_from: str | Path | None = None,
    overwrite: bool = False,
    progress_seconds: float = 60.0,
) -> dict[str, Any]:
    """Train a DAE on images and write it to ``output``.

    Every checkpoint also writes ``output``: the average with the best mean PSNR of the validations so far, the start
    included. The checkpoint is the file ``NAME.checkpoint.safetensors`` beside ``output``. The same call resumes from
    it; with more ``steps`` it also continues a finished run. Ctrl-C ends the run after the current step, with a
    checkpoint; a second Ctrl-C ends it at once.

    :param images: no test images: a folder, see :func:`load_training_images`; or arrays (H, W) or (H, W, C), or
        :class:`TrainingImage`. Grey images suit every network, and colours suit a grey one.
    :param str output: ``.safetensors`` file for the averaged weights.
    :param TrainingConfig config: the settings; default the paper's network.
    :param str device: default the GPU if there is one.
    :param Callable log: called with each line of progress.
    :param float checkpoint_seconds: time between checkpoints.
    :param int validate_every: steps between validations.
    :param str start_from: shipped name or ``.safetensors`` file of a network of the same architecture, whose weights a
        new run starts from. Its channels and noise levels may differ, see :func:`daep_prior.networks.with_channels`.
    :param bool overwrite: replace an ``output`` that belongs to no unfinished run.
    :param float progress_seconds: longest time without a line of progress.
    :return: the model card: settings, hardware, time, and the validation history.
    :raises ValueError: unusable images, output or checkpoint.
    :raises FloatingPointError: the loss is not finite.
    :raises KeyboardInterrupt: Ctrl-C; if the checkpoint was written, its message says at which step.
    """
    config, output = config or TrainingConfig(), Path(output)
    _check_output(output, overwrite)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if isinstance(images, (str, Path)):
        images = load_training_images(images, config.crop, log)
    training, held_out = _held_out(as_training_images(images, config.channels, config.crop), config, log)
    run = TrainingRun(config, device, compiled=device.type == "cuda")
    _begin(run, checkpoint_path(output), start_from, log)
    _validate_again(run, held_out, log)
    log(f"{len(training)} images train, {len(held_out)} validate; {run.parameters / 1e6:.2f} M parameters on {device}")

    def save() -> None:
        save_checkpoint(run, checkpoint_path(output))
        save_dae(run.result, output, _card(run, len(training)))

    first = run.step
    _learn(run, training, held_out, save, log, checkpoint_seconds, validate_every, progress_seconds, bool(start_from))
    finished = _step_of(output) == run.step
    if not finished:  # an earlier run stopped between checkpoint and weights, or the weights were moved away
        save()
    unchanged = finished and run.step == first
    log(f"{output} is finished; more steps go on from it" if unchanged else f"wrote {output}")
    return _card(run, len(training))


def _check_output(output: Path, overwrite: bool) -> None:
    if output.suffix != ".safetensors":
        raise ValueError(f"output: got {output}; expected a file that ends in .safetensors.")
    if not output.parent.is_dir():
        raise ValueError(f"output: the folder {output.parent} does not exist.")
    if output.exists() and not checkpoint_path(output).exists() and not overwrite:
        raise ValueError(
            f"output: {output} exists and is not of an unfinished run; name another file, or move it away."
        )


def _held_out(
    images: list[TrainingImage], config: TrainingConfig, log: Log
) -> tuple[list[TrainingImage], list[TrainingImage]]:
    """Images to train on, and others to validate on if there are enough."""
    count = min(config.validation_images, max(1, len(images) // LEAST_SHARE))
    if len(images) <= config.validation_images:
        log(f"only {len(images)} images: the validation figure is measured on training images")
        return images, images
    files = [image.source or i for i, image in enumerate(images)]
    different = list(dict.fromkeys(files))
    order = [different[i] for i in random_generator(config.seed, 0, 1).permutation(len(different))]
    chosen: set[str | int] = set()
    while order and sum(file in chosen for file in files) < count:
        chosen.add(order.pop(0))
    held_out = [image for file, image in zip(files, images, strict=True) if file in chosen]
    training = [image for file, image in zip(files, images, strict=True) if file not in chosen]
    if len(training) < len(held_out):  # few stacks: the last slices of all are far from most others
        training, held_out = images[:-count], images[-count:]
    return training, held_out[:: len(held_out) // count][:count]


def _begin(run: TrainingRun, checkpoint: Path, start_from: str | Path | None, log: Log) -> None:
    """Load the checkpoint if there is one, else the weights to start from."""
    if checkpoint.exists():
        load_checkpoint(run, checkpoint)
        if run.step > run.config.steps:
            raise ValueError(
                f"steps: got {run.config.steps}; {checkpoint} has reached step {run.step} already; "
                "give at least as many."
            )
        log(f"resumed at step {run.step} from {checkpoint.name}")
    elif start_from is not None:
        run.start_from(read_training_form(start_from))
        log(f"starting from the weights of {start_from}")
    else:
        log("starting from new weights")


def _validate_again(run: TrainingRun, held_out: list[TrainingImage], log: Log) -> None:
    """Measure the best weights of an earlier run on the images that are held out now: files may have come or gone."""
    if run.best_at is None or run.step == run.config.steps:
        return
    step, before = run.best_at
    figures = validation_psnr(run.best, held_out, run.device)
    psnr = sum(figures.values()) / len(figures)
    if abs(psnr - before) > SAME_IMAGES:
        log(f"other images are held out than before: the best weights, of step {step}, have {psnr:.3f} dB on average")
        run.best_at = step, psnr


def _learn(
    run: TrainingRun,
    images: list[TrainingImage],
    held_out: list[TrainingImage],
    save: Callable[[], None],
    log: Log,
    checkpoint_seconds: float,
    validate_every: int,
    progress_seconds: float,
    started: bool,
) -> None:
    """The remaining steps, with progress, validations and checkpoints; the parameters are those of :func:`train`.

    :param bool started: from weights, which are validated before the first step.
    """
    began = saved = reported = time.monotonic()
    before = run.seconds
    if run.step == 0 and started:
        _report(run, held_out, log)
    with _ctrl_c_deferred() as stop:
        for crops in prefetched(images, run.config, run.step):
            run.learn(crops)
            run.seconds = before + time.monotonic() - began
            if run.step % CHECK_EVERY == 0:
                run.mean_loss()
            last = run.step == run.config.steps
            validated = last or run.step % validate_every == 0
            if validated or time.monotonic() - reported > progress_seconds:
                _report(run, held_out if validated else [], log)
                reported = time.monotonic()
            stopping = stop.is_set()
            if last or stopping or time.monotonic() - saved > checkpoint_seconds:
                save()
                saved = time.monotonic()
            if stopping:
                raise KeyboardInterrupt(f"at step {run.step}")


def _report(run: TrainingRun, held_out: list[TrainingImage], log: Log) -> None:
    """Log a line of progress, with validation figures if there are images for them."""
    text = f"step {run.step}/{run.config.steps}"
    text += f": loss {run.mean_loss():.5f}" if run.loss_count else ": before training"
    if held_out:
        figures = validation_psnr(run.average, held_out, run.device)
        run.note(figures)
        text += ", validation " + ", ".join(f"{psnr:.3f} dB at {level}" for level, psnr in figures.items())
    log(f"{text} ({run.seconds:.0f} s)")


@contextmanager
def _ctrl_c_deferred() -> Iterator[threading.Event]:
    """The first Ctrl-C sets the event, the second acts as usual. A handler of the user's own stays in place.

    So does SIGTERM if it acts as Ctrl-C, as of the command line.
    """
    stop = threading.Event()
    ours: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():  # only this thread may set handlers
        candidates = (signal.SIGINT, signal.SIGTERM)
        ours = [number for number in candidates if signal.getsignal(number) is signal.default_int_handler]

    def ask(*_: object) -> None:
        stop.set()
        usual()

    def usual() -> None:
        for number in ours:
            signal.signal(number, signal.default_int_handler)

    for number in ours:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        usual()


def _step_of(weights: Path) -> int | None:
    """The step at which a weight file was written; ``None`` if it is no readable file of a training run."""
    try:
        step = read_card(weights).get("step")
    except (OSError, ValueError):
        return None
    return step if isinstance(step, int) else None


def _card(run: TrainingRun, images: int) -> dict[str, Any]:
    """The model card, which is saved with the weights."""
    return {
        "config": asdict(run.config),
        "parameters": run.parameters,
        "step": run.step,
        "best_step": run.step if run.best_at is None else run.best_at[0],
        "seconds": round(run.seconds),
        "hardware": _hardware(run.device),
        "torch": torch.__version__,
        "training_images": images,
        "validation": run.history,
    }


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return f"{capabilities.get('cpu_name', 'CPU')}, {torch.get_num_threads()} threads"
