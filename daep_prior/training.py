"""Training a DAE: the data pipeline and the loop behind ``daep train``.

Everything random (crops, flips, noise) is a function of (seed, step), and a checkpoint holds everything else, so a run
that is killed at any moment resumes to exactly the run it would have been.
"""

from __future__ import annotations

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from daep_prior.muon import Muon
from daep_prior.networks import DAE, RGB, ConvDAE, build_network
from daep_prior.pretrained import read_card, read_safetensors, read_training_form, save_dae, write_safetensors

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TrainingConfig", "load_training_images", "train", "validation_psnr"]

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
CHECKPOINT_FORMAT = "daep-prior-checkpoint/1"
#: Validation levels of a noise-conditional network (of 255), those the field quotes.
VALIDATION_LEVELS = (5, 15, 25, 50)

Log = Callable[[str], None]


@dataclass(frozen=True)
class TrainingConfig:
    """What a training run is; all of it is kept in the checkpoint and in the model card.

    The loss is the paper's (section 4): residual learning, L2. So is Adam (0.9, 0.999) at 1e-3, falling; the kernels
    between feature channels are by default learned by Muon instead, in a fraction of the steps.

    :param dict network: see :func:`daep_prior.networks.build_network`.
    :param int steps: optimisation steps of the whole run; the learning rate falls by a cosine over them.
    :param int batch: crops a step.
    :param int crop: height and width of a crop, pixels.
    :param float learning_rate: at its highest, after ``warmup`` steps.
    :param float final_learning_rate: at the last step.
    :param str optimizer: ``"muon"`` for the kernels between feature channels and Adam for the rest, or ``"adam"`` for
        all.
    :param float muon_learning_rate: of Muon at its highest; rises and falls with ``learning_rate``.
    :param float ema: decay of the moving average of the weights that is validated and saved.
    :param float clip: bound on the gradient's norm.
    :param float level_offset: the squared error of a noise-conditional network is weighted by ``1 / (s + offset)^p``,
        so that no level starves; the offset is a standard deviation, images in [0, 1].
    :param float level_power: the ``p`` above.
    :param float augmentation: share of the crops that are made smaller, and independently of those that are given other
        colours; files of photographs have smooth, dull colours, which a network takes for a law of nature.
    :param int validation_images: images held out for the validation line.
    :param int seed: of crops, noise and initial weights.
    """

    network: dict[str, Any] = field(default_factory=lambda: ConvDAE().config())
    steps: int = 200_000
    batch: int = 32
    crop: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    optimizer: str = "muon"
    muon_learning_rate: float = 0.01
    warmup: int = 200
    ema: float = 0.999
    clip: float = 0.5
    level_offset: float = 5 / 255
    level_power: float = 1.0
    augmentation: float = 0.15
    validation_images: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "validation_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}; expected at least 1.")
        for name in ("learning_rate", "final_learning_rate", "muon_learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: got {getattr(self, name)}; expected a positive number.")
        if self.optimizer not in ("muon", "adam"):
            raise ValueError(f"optimizer: got {self.optimizer!r}; expected 'muon' or 'adam'.")
        if not self.level_offset > 0:
            raise ValueError(f"level_offset: got {self.level_offset}; expected a positive number.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: got {self.seed}; expected a number in [0, 2^32).")
        if not 0 <= self.augmentation <= 1:
            raise ValueError(f"augmentation: got {self.augmentation}; expected a share in [0, 1].")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: got {self.ema}; expected a decay in [0, 1).")

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then half a cosine from ``learning_rate`` to ``final_learning_rate``."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return warm * (self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * fall)


# -- data ------------------------------------------------------------------------------------------------------------


def load_training_images(folder: str | Path, smallest: int, log: Log = print) -> list[np.ndarray]:
    """Every usable image below ``folder`` as uint8 RGB (H, W, 3), in the order of their paths.

    Grey and 16-bit images are converted; unreadable, mislabelled and too small ones are skipped with one line each.

    :param str folder: searched with its subfolders.
    :param int smallest: least height and width, pixels.
    :param Callable log: called with each line.
    :raises ValueError: not a folder, or no usable image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; expected one that holds training images.")
    images = []
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    for path in paths:
        try:
            image = _read_rgb(path)
        except Exception as error:  # Pillow raises many kinds for damaged files
            log(f"skipped {path.name}: cannot be read ({type(error).__name__}: {error})")
            continue
        if min(image.shape[:2]) < smallest:
            log(f"skipped {path.name}: {image.shape[1]} x {image.shape[0]} pixels, smaller than a crop of {smallest}")
            continue
        images.append(image)
    if not images:
        raise ValueError(f"{folder}: no usable image among {len(paths)} image files; expected PNG, JPEG, TIFF or BMP.")
    return images


def _read_rgb(path: Path) -> np.ndarray:
    import numpy as np
    from PIL import Image

    with Image.open(path) as file:
        if file.mode.startswith("I") or file.mode == "F":
            grey = np.asarray(file, dtype=np.float64)
            scale = 255 / 65535 if file.mode.startswith("I") else 255.0
            return np.repeat((grey * scale).round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
        return np.array(file.convert("RGB"))


def _random(seed: int, step: int, purpose: int) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng([seed, step, purpose])


def random_crops(images: list[np.ndarray], config: TrainingConfig, step: int) -> Tensor:
    """The crops of one step, flipped and rotated at random: uint8 (batch, 3, crop, crop).

    Pixels are equally likely, so large images give more crops.
    """
    import numpy as np

    rng = _random(config.seed, step, 0)
    area = np.array([image.shape[0] * image.shape[1] for image in images], dtype=np.float64)
    size = config.crop
    out = np.empty((config.batch, size, size, 3), dtype=np.uint8)
    for i, k in enumerate(rng.choice(len(images), config.batch, p=area / area.sum())):
        crop = _cut(images[k], size, rng, config.augmentation)
        if rng.random() < config.augmentation:
            crop = _recoloured(crop, rng)
        crop = np.rot90(crop, int(rng.integers(4)))
        out[i] = crop[:, ::-1] if rng.integers(2) else crop
    return torch.from_numpy(out).permute(0, 3, 1, 2)


#: A crop is made smaller at most by this factor.
LARGEST_REDUCTION = 2.0
#: Colours become at most this many times as far from grey.
STRONGEST_COLOUR = 2.5


def _cut(image: np.ndarray, size: int, rng: np.random.Generator, share: float) -> np.ndarray:
    """A square of ``size`` pixels at a random place; of a ``share`` of them, from a larger one made smaller."""
    import numpy as np
    from PIL import Image

    whole = size
    if rng.random() < share:
        whole = round(rng.uniform(size, max(size, min(LARGEST_REDUCTION * size, *image.shape[:2]))))
    top, left = (int(rng.integers(0, n - whole + 1)) for n in image.shape[:2])
    crop = image[top : top + whole, left : left + whole]
    if whole == size:
        return crop
    return np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.BICUBIC))


def _recoloured(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Channels exchanged, and colours from none at all to much stronger ones."""
    import numpy as np

    crop = crop[..., rng.permutation(RGB)].astype(np.float64)
    grey = crop.mean(2, keepdims=True)
    return (grey + rng.uniform(0, STRONGEST_COLOUR) * (crop - grey)).round().clip(0, 255).astype(np.uint8)


def _prefetched(images: list[np.ndarray], config: TrainingConfig, first: int) -> Iterator[tuple[int, Tensor]]:
    """(step, crops) from ``first`` on, the next batches cut while the network works."""
    from concurrent.futures import ThreadPoolExecutor

    ahead = 4
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(random_crops, images, config, s) for s in range(first, min(first + ahead, config.steps))]
        for step in range(first, config.steps):
            crops = waiting.pop(0).result()
            if step + ahead < config.steps:
                waiting.append(pool.submit(random_crops, images, config, step + ahead))
            yield step, crops


# -- validation ------------------------------------------------------------------------------------------------------


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


# -- the loop --------------------------------------------------------------------------------------------------------


def checkpoint_path(output: Path) -> Path:
    """Where the checkpoint of a run stands that writes its weights to ``output``."""
    return output.with_name(f"{output.stem}.checkpoint.safetensors")


class _Run:
    """The state of a training run: everything a checkpoint holds."""

    def __init__(self, config: TrainingConfig, device: torch.device):
        self.config, self.device = config, device
        with torch.random.fork_rng(devices=[]):  # the user's own random numbers go on undisturbed
            torch.default_generator.manual_seed(config.seed)
            network = build_network(config.network)
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.average: DAE = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizers = _optimizers(self.network, config)
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        # of the steps since the last validation line
        self.loss_sum, self.loss_count = torch.zeros((), device=device), 0

    def mean_loss(self) -> float:
        return float(self.loss_sum) / max(1, self.loss_count)

    def save(self, path: Path) -> None:
        """Write the checkpoint, unless that would overwrite a good one with numbers that are no longer finite.

        :raises FloatingPointError: weights or loss are not finite.
        """
        if not all(bool(t.isfinite().all()) for t in (self.loss_sum, *self.network.state_dict().values())):
            raise FloatingPointError(
                f"the loss or the weights are no longer finite at step {self.step}; lower learning_rate and start "
                f"again (the last good checkpoint, if there is one, is {path})."
            )
        tensors: dict[str, Tensor] = {}
        for prefix, module in (("network", self.network), ("average", self.average)):
            tensors.update({f"{prefix}.{k}": v for k, v in module.state_dict().items()})
        for name, parameter in self.network.named_parameters():
            for optimizer in self.optimizers:
                for key, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "loss_sum": float(self.loss_sum),
            "loss_count": self.loss_count,
            "config": asdict(self.config),
        }
        write_safetensors(tensors, path, {"format": CHECKPOINT_FORMAT, "state": json.dumps(state)})

    def load(self, path: Path) -> None:
        """Continue from ``path``; ``steps`` may have been changed since, nothing else."""
        tensors, metadata = read_safetensors(path)
        if metadata.get("format") != CHECKPOINT_FORMAT:
            raise ValueError(f"{path}: not a training checkpoint of this version.")
        try:
            state = json.loads(metadata["state"])
            before = dict(state["config"])
            step, history = int(state["step"]), list(state["history"])
            seconds, loss_sum, loss_count = (
                float(state["seconds"]),
                float(state.get("loss_sum", 0)),
                int(state.get("loss_count", 0)),
            )
            if step < 0 or loss_count < 0 or not (0 <= seconds < math.inf and math.isfinite(loss_sum)):
                raise ValueError(f"step {step}, {seconds} seconds, loss {loss_sum} of {loss_count}")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: a damaged training checkpoint ({error!r}).") from error
        now = json.loads(json.dumps(asdict(self.config)))
        changed = sorted(k for k in now if k != "steps" and now[k] != before.get(k))
        if changed:
            raise ValueError(
                f"{path}: belongs to a run with another {', '.join(changed)}; "
                "give the same settings, or another output file to start anew."
            )

        def fill(target: Tensor, name: str) -> None:
            if name not in tensors or tensors[name].shape != target.shape:
                raise ValueError(f"{path}: a damaged training checkpoint ({name} is missing or misshapen).")
            if not bool(tensors[name].isfinite().all()):
                raise ValueError(f"{path}: a damaged training checkpoint ({name} holds numbers that are not finite).")
            target.copy_(tensors[name])

        with torch.no_grad():
            for prefix, module in (("network", self.network), ("average", self.average)):
                for name, target in module.state_dict().items():
                    if not name.endswith("num_batches_tracked"):
                        fill(target, f"{prefix}.{name}")
            names = {parameter: name for name, parameter in self.network.named_parameters()}
            for optimizer in self.optimizers:
                for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                    # the moments take the parameter's memory layout, as in the run that was interrupted
                    if isinstance(optimizer, Muon):
                        entry = {"mean": torch.empty_like(parameter)}
                    else:
                        entry = {key: torch.empty_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
                        entry["step"] = torch.zeros(())
                    for key, target in entry.items():
                        fill(target, f"optimizer.{key}.{names[parameter]}")
                    optimizer.state[parameter] = entry
        self.step, self.history, self.seconds = step, history, seconds
        self.loss_sum.fill_(loss_sum)
        self.loss_count = loss_count

    def start_from(self, source: DAE) -> None:
        """Take the weights of a trained network.

        :raises ValueError: it is another architecture.
        """
        if json.dumps(source.config()) != json.dumps(self.network.config()):
            raise ValueError(f"start_from: its configuration {source.config()} is not that of this run.")
        for network in (self.network, self.average):
            network.load_state_dict(source.state_dict())

    def update_average(self) -> None:
        """Moving average of parameters and normalisation statistics; short at first, so it forgets the start."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - decay)


def _optimizers(network: DAE, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Muon for the kernels between feature channels, Adam for the rest: each parameter is in one of them."""
    kernels: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in network.parameters():
        # the first and the last kernel have as few channels as an image
        between_features = parameter.ndim == 4 and min(parameter.shape[:2]) > RGB + 1
        (kernels if between_features and config.optimizer == "muon" else rest).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if kernels:
        optimizers.append(Muon(kernels, lr=config.muon_learning_rate))
    if rest:
        optimizers.append(torch.optim.Adam(rest, lr=config.learning_rate, betas=(0.9, 0.999)))
    return optimizers


def _loss(run: _Run, forward: nn.Module, crops: Tensor) -> Tensor:
    """Mean squared error on the noise (residual learning), weighted by level for a noise-conditional network."""
    config, device = run.config, run.device
    rng = torch.Generator(device).manual_seed(config.seed * 1_000_003 + run.step)
    clean = crops.to(device, non_blocking=True).float() / 255
    noise = torch.randn(clean.shape, generator=rng, device=device)
    if run.network.sigma_range is not None:
        low, high = run.network.sigma_range
        level = low + (high - low) * torch.rand(clean.shape[0], 1, 1, 1, generator=rng, device=device)
        weight = ((high + config.level_offset) / (level + config.level_offset)) ** config.level_power / high**2
    else:
        level = torch.full((clean.shape[0], 1, 1, 1), run.network.sigma or 0.0, device=device)
        weight = 1 / level.square()
    noisy = (clean + level * noise).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=_mixed_precision(device)):
        denoised = forward(noisy, level)
    return (weight * (denoised.float() - clean).square()).mean()


def _mixed_precision(device: torch.device) -> bool:
    from daep_prior.networks import fast_dtype

    return fast_dtype(device) == torch.bfloat16


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
    images = load_training_images(folder, config.crop, log)
    if len(images) > config.validation_images:
        order = _random(config.seed, 0, 1).permutation(len(images))
        held_out = sorted(order[: config.validation_images])
        validation = [images[i] for i in held_out]
        images = [image for i, image in enumerate(images) if i not in set(held_out)]
    else:
        validation = images
        log(f"only {len(images)} images: the validation figure is measured on training images")
    run = _Run(config, device)
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
    forward: nn.Module = run.network
    if compiled or (compiled is None and device.type == "cuda"):
        forward = torch.compile(run.network)  # type: ignore[assignment]
    parameters = sum(p.numel() for p in run.network.parameters())
    log(f"{len(images)} images, {len(validation)} held out; {parameters / 1e6:.2f} M parameters on {device}")

    began = saved = told = time.monotonic()
    before, first = run.seconds, run.step
    with _ctrl_c_deferred() as stop:
        for step, crops in _prefetched(images, config, run.step):
            share = config.learning_rate_at(step) / config.learning_rate
            loss = _loss(run, forward, crops)
            run.network.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(run.network.parameters(), config.clip)
            for optimizer in run.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = share * optimizer.defaults["lr"]
                optimizer.step()
            run.step = step + 1
            run.update_average()
            run.loss_sum += loss.detach()
            run.loss_count += 1
            run.seconds = before + time.monotonic() - began
            last = run.step == config.steps
            report = last or run.step % validate_every == 0
            if report or run.step % 100 == 0:
                mean_loss = run.mean_loss()
                if not math.isfinite(mean_loss):
                    raise FloatingPointError(
                        f"the loss is {mean_loss} at step {run.step}; lower learning_rate and start again "
                        f"(the last good checkpoint is {checkpoint})."
                    )
            if report:
                figures = validation_psnr(run.average, validation, device)
                run.history.append({"step": run.step, "loss": mean_loss, **figures})
                text = ", ".join(f"{psnr:.3f} dB at {level}" for level, psnr in figures.items())
                log(f"step {run.step}/{config.steps}: loss {mean_loss:.5f}, validation {text} ({run.seconds:.0f} s)")
                run.loss_sum.zero_()
                run.loss_count = 0
                told = time.monotonic()
            elif time.monotonic() - told > progress_seconds:
                log(f"step {run.step}/{config.steps}: loss {run.mean_loss():.5f} ({run.seconds:.0f} s)")
                told = time.monotonic()
            stopping = stop.is_set()
            if last or stopping or time.monotonic() - saved > checkpoint_seconds:
                run.save(checkpoint)
                save_dae(run.average, output, _card(run, len(images)))
                saved = time.monotonic()
            if stopping:
                raise KeyboardInterrupt(f"at step {run.step}")
    card = _card(run, len(images))
    if _step_of(output) != run.step:  # stopped between the last checkpoint and the weights, or moved away since
        save_dae(run.average, output, card)
    elif run.step == first:
        log(f"{output} is finished; more steps go on from it")
        return card
    log(f"wrote {output}")
    return card


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


def _card(run: _Run, images: int) -> dict[str, Any]:
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
