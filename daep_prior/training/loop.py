"""Training a DAE, the loop behind ``daep train``.

Everything random (crops, flips, noise) is a function of (seed, step), and a checkpoint holds everything else, so a run
that is killed at any moment resumes to exactly the run it would have been.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from daep_prior.networks import DAE
from daep_prior.pretrained import read_card, read_training_form, save_dae
from daep_prior.training.config import TrainingConfig
from daep_prior.training.data import load_training_images, prefetched, random_generator
from daep_prior.training.run import TrainingRun, checkpoint_path

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TrainingConfig", "load_training_images", "train", "validation_psnr"]

#: Validation noise levels of a noise-conditional network, of 255; 15, 25 and 50 are the usual ones of denoising papers.
VALIDATION_LEVELS = (5, 15, 25, 50)
#: Number of steps between checks that the loss is finite. Chosen by hand: each check waits for the GPU.
CHECK_EVERY = 100

Log = Callable[[str], None]


def train(
    folder: str | Path,
    output: str | Path,
    config: TrainingConfig | None = None,
    device: str | torch.device | None = None,
    log: Log = print,
    checkpoint_seconds: float = 180.0,
    validate_every: int = 1000,
    compiled: bool | None = None,
    start_from: str | Path | None = None,
    overwrite: bool = False,
    progress_seconds: float = 60.0,
) -> dict[str, Any]:
    """Train a DAE on the images below ``folder`` and write it to ``output``.

    ``output`` is written with every checkpoint, so that a run that is stopped leaves what it had reached. A checkpoint
    stands beside ``output`` while the run lasts (``NAME.checkpoint.safetensors``); started again with the
    same settings, the run goes on from it. It is kept at the end, so that a longer run can go on from there. Ctrl-C
    ends the run after the step that is under way, with a checkpoint; a second one ends it at once.

    :param str folder: training images, searched with subfolders; never test images.
    :param str output: ``.safetensors`` file for the averaged weights.
    :param TrainingConfig config: the run; default the paper's network.
    :param str device: default the GPU if there is one.
    :param Callable log: called with each line of progress.
    :param float checkpoint_seconds: time between checkpoints.
    :param int validate_every: steps between validation lines.
    :param bool compiled: use ``torch.compile``; default on a GPU only.
    :param str start_from: shipped name or ``.safetensors`` file of ours whose weights a new run starts from, to adapt a
        network to other images; the configuration must be the same.
    :param bool overwrite: replace ``output`` although it is not of an unfinished run.
    :param float progress_seconds: time after which a step without a validation line has a shorter one.
    :return: the model card: configuration, hardware, time, and the validation history.
    :raises ValueError: unusable folder, output or checkpoint.
    :raises FloatingPointError: the loss is no longer a number.
    :raises KeyboardInterrupt: Ctrl-C; its message says at which step, if the checkpoint was written.
    """
    config = config or TrainingConfig()
    output = Path(output)
    if output.suffix != ".safetensors":
        raise ValueError(f"output: got {output}; expected a file that ends in .safetensors.")
    if not output.parent.is_dir():
        raise ValueError(f"output: the folder {output.parent} does not exist.")
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    checkpoint = checkpoint_path(output)
    if output.exists() and not checkpoint.exists() and not overwrite:
        raise ValueError(
            f"output: {output} exists and is not of an unfinished run; name another file, or move it away."
        )
    images, held_out = _held_out(load_training_images(folder, config.crop, log), config, log)
    run = TrainingRun(config, device, device.type == "cuda" if compiled is None else compiled)
    if checkpoint.exists():
        run.load(checkpoint)
        if run.step > config.steps:
            raise ValueError(
                f"steps: got {config.steps}; {checkpoint} has reached step {run.step} already; give at least as many."
            )
        log(f"resumed at step {run.step} from {checkpoint.name}")
    elif start_from is not None:
        run.start_from(read_training_form(start_from))
        log(f"starting from the weights of {start_from}")
    parameters = sum(p.numel() for p in run.network.parameters())
    log(f"{len(images)} images, {len(held_out)} held out; {parameters / 1e6:.2f} M parameters on {device}")

    def save() -> None:
        run.save(checkpoint)
        save_dae(run.average, output, _card(run, len(images)))

    began = saved = told = time.monotonic()
    before, first = run.seconds, run.step
    with _ctrl_c_deferred() as stop:
        for crops in prefetched(images, config, run.step):
            run.learn(crops)
            run.seconds = before + time.monotonic() - began
            if run.step % CHECK_EVERY == 0:
                run.mean_loss()
            last = run.step == config.steps
            validated = last or run.step % validate_every == 0
            if validated or time.monotonic() - told > progress_seconds:
                _report(run, held_out if validated else [], log)
                told = time.monotonic()
            stopping = stop.is_set()
            if last or stopping or time.monotonic() - saved > checkpoint_seconds:
                save()
                saved = time.monotonic()
            if stopping:
                raise KeyboardInterrupt(f"at step {run.step}")
    if _step_of(output) != run.step:  # stopped between the last checkpoint and the weights, or moved away since
        save()
    elif run.step == first:
        log(f"{output} is finished; more steps go on from it")
        return _card(run, len(images))
    log(f"wrote {output}")
    return _card(run, len(images))


def _held_out(images: list[np.ndarray], config: TrainingConfig, log: Log) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images to train on, and to validate on: others, if there are enough."""
    if len(images) <= config.validation_images:
        log(f"only {len(images)} images: the validation figure is measured on training images")
        return images, images
    order = random_generator(config.seed, 0, 1).permutation(len(images))
    chosen = sorted(order[: config.validation_images])
    return [image for i, image in enumerate(images) if i not in set(chosen)], [images[i] for i in chosen]


def _report(run: TrainingRun, held_out: list[np.ndarray], log: Log) -> None:
    """A line on how the run stands, with validation figures if there are images for them."""
    text = f"step {run.step}/{run.config.steps}: loss {run.mean_loss():.5f}"
    if held_out:
        figures = validation_psnr(run.average, held_out, run.device)
        run.note(figures)
        text += ", validation " + ", ".join(f"{psnr:.3f} dB at {level}" for level, psnr in figures.items())
    log(f"{text} ({run.seconds:.0f} s)")


def validation_psnr(dae: DAE, images: list[np.ndarray], device: torch.device, crop: int = 160) -> dict[str, float]:
    """Mean PSNR (dB) of denoising centre crops, noise from a fixed seed, by noise level (of 255)."""
    dae = dae.fold().to(device)
    levels = VALIDATION_LEVELS if dae.sigma is None else (255 * dae.sigma,)
    top = 255 * dae.sigma_range[1] if dae.sigma_range else math.inf
    result = {}
    for level in levels:
        if level > top:
            continue
        total = 0.0
        for i, image in enumerate(images):
            top_, left = ((n - min(n, crop)) // 2 for n in image.shape[:2])
            clean = torch.from_numpy(image[top_ : top_ + crop, left : left + crop].copy())
            clean = clean.permute(2, 0, 1)[None].to(device).float() / 255
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(i)).to(device)
            with torch.no_grad():
                out = dae(clean + level / 255 * noise, level / 255).clamp(0, 1)
            total += -10 * math.log10(max(float((out - clean).square().mean()), 1e-12))
        result[f"{level:g}"] = total / len(images)
    return result


@contextmanager
def _ctrl_c_deferred() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, a second one is as ever; where Ctrl-C does something of its own, it still does."""
    stop = threading.Event()

    def ask(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    ours = threading.current_thread() is threading.main_thread()  # no other may set handlers
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _step_of(weights: Path) -> int | None:
    """The step at which a weight file was written; ``None`` if it is no readable one of a training run."""
    try:
        step = read_card(weights).get("step")
    except (OSError, ValueError):
        return None
    return step if isinstance(step, int) else None


def _card(run: TrainingRun, images: int) -> dict[str, Any]:
    """What is worth knowing about the weights; kept in the metadata of the weight file."""
    return {
        "config": asdict(run.config),
        "parameters": sum(p.numel() for p in run.network.parameters()),
        "step": run.step,
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
