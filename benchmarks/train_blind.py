"""Train the network that finds kernels in blind deblurring: it removes noise and the traces of a wrong kernel.

    python benchmarks/train_blind.py --data FOLDER --steps N --out FILE.safetensors [--init dae] [--seed 0] [--resume]

The input of the network ``A`` is ``z = x_k + n`` and the noise level of ``n``, 8 to 65 of 255. ``x_k`` is an image that
was restored with a wrong kernel, see ``wrong_kernels.py``. The target is the sharp image ``x``. A kernel and its image
are known only up to a shift, so ``x`` is first moved onto ``A(z)``, by parts of a pixel (:func:`moved_onto`).
With ``e = A(z) - x`` without its outermost pixels, the loss of an image is

    (mean e^2 + 4 mean |grad e|^2) / (s + 0.02),    s: the noise level.

A pool holds 40 chains. A step draws five, and each advances by one round with the present network, or begins anew.

``FILE`` is the moving average of the weights. It and a checkpoint beside it are written every 100 steps and at the end.
``--resume`` goes on from the checkpoint; the chains are drawn anew.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from protocol import data_folder
from torch import Tensor
from wrong_kernels import CROP, Chain

from daep_prior.inference import fast_dtype
from daep_prior.networks import DAE
from daep_prior.pretrained import read_safetensors, read_training_form, save_dae, write_safetensors
from daep_prior.training.checkpoint import checkpoint_path

#: Number of chains, and of those in a step.
POOL, BATCH = 40, 5
#: A chain begins anew after so many rounds, and before with this probability a round.
OLDEST, RESTART = 14, 0.08
#: Noise level of the input, log-uniform, images in [0, 1].
NOISE = (8 / 255, 65 / 255)
#: Learning rate: the highest one, after a linear warm-up of so many steps, and the lowest one at the end of a cosine.
LEARNING_RATE, WARM_UP, LAST_RATE = 3e-4, 100, 1e-6
#: Largest norm of the gradient; decay of the moving average.
CLIP, DECAY = 0.1, 0.998
#: Weight of the gradient's error in the loss, and offset of the noise level, images in [0, 1].
EDGE_WEIGHT, LEVEL_OFFSET = 4.0, 0.02
#: Pixels at each side that the loss leaves out.
OUTSIDE = 10
#: Shifts of the target: a smaller one is not made; a larger one means that the chain is lost; pixels.
LEAST_SHIFT, LARGEST_SHIFT = 0.03, 8
#: Factors by which the training images are reduced. The full size counts three times.
SCALES = (1, 1, 1, 0.6)
#: Steps between lines of progress, and between checkpoints; ages, in rounds, whose losses are printed.
REPORT_EVERY, SAVE_EVERY, AGES = 50, 100, (0, 1, 2, 4, 8, 12)


class Training:
    """Network, moving average, optimizer and chains.

    :param str init: shipped name or ``.safetensors`` file of the first weights, of a noise-conditional network.
    :param list images: grey training images (h, w), uint8.
    :param int seed: of crops, kernels and noise.
    """

    def __init__(self, init: str, images: list[np.ndarray], seed: int):
        self.network = read_training_form(init).to(memory_format=torch.channels_last).train()
        if not self.network.conditional:
            raise ValueError(f"--init {init}: trained for one noise level; expected a noise-conditional network.")
        self.average: DAE = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, weight_decay=0.0)
        self.init, self.images, self.seed, self.step = init, images, seed, 0
        #: Mean loss of the steps between two lines of progress, and the losses since the last line by age.
        self.history: list[dict[str, float]] = []
        self.losses: defaultdict[int, list[float]] = defaultdict(list)

    def run(self, steps: int, out: Path) -> None:
        """The steps that are missing, with progress and checkpoints."""
        # a function of seed and step, so that a resumed run does not see the same images again
        rng = np.random.default_rng((self.seed, self.step))
        pool = [Chain.restarted(self.images, rng) for _ in range(POOL)]
        while self.step < steps:
            self.learn(pool, steps, rng)
            if self.step % REPORT_EVERY == 0 or self.step == steps:
                self.report()
            if self.step % SAVE_EVERY == 0 or self.step == steps:
                self.save(out, steps)

    def learn(self, pool: list[Chain], steps: int, rng: np.random.Generator) -> None:
        """One step of the optimizer on some chains, which then advance."""
        chosen = rng.choice(len(pool), BATCH, replace=False)
        chains = [pool[i] for i in chosen]
        level = torch.tensor(np.exp(rng.uniform(*np.log(NOISE), BATCH)), dtype=torch.float32)[:, None, None, None]
        noise = torch.from_numpy(rng.standard_normal((BATCH, 1, CROP, CROP), dtype=np.float32))
        noisy = torch.cat([chain.restored for chain in chains]) + level * noise
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_dtype(torch.device("cpu")) == torch.bfloat16):
            output = self.network(noisy, level.flatten())
        targets = [moved_onto(chain.sharp, o) for chain, o in zip(chains, output.detach().split(1), strict=True)]
        followed = torch.tensor([target is not None for target in targets])
        sharp = torch.cat([c.sharp if t is None else t for c, t in zip(chains, targets, strict=True)])
        losses = loss(output, sharp, level.flatten())
        self._descend((losses * followed).sum() / BATCH, steps)
        for i, chain, value, ok, o in zip(
            chosen, chains, losses.tolist(), followed, output.detach().split(1), strict=True
        ):
            self.losses[chain.age].append(value)
            if not ok or chain.age >= OLDEST or rng.random() < RESTART:
                pool[i] = Chain.restarted(self.images, rng)
            else:
                chain.advance(o, rng)

    def _descend(self, value: Tensor, steps: int) -> None:
        """One step of the optimizer and of the moving average. Its window begins short, so it forgets the start."""
        if not bool(value.isfinite()):
            raise FloatingPointError(f"the loss is {float(value)} after {self.step} steps; go on from the checkpoint.")
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, steps)
        self.optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        self.step += 1
        decay = min(DECAY, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, parameter in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(parameter, 1 - decay)

    def report(self) -> None:
        """Print the mean loss, and that of some ages."""
        everything = [value for values in self.losses.values() for value in values]
        self.history.append({"step": self.step, "loss": sum(everything) / len(everything)})
        ages = [f"{sum(self.losses[a]) / len(self.losses[a]):.4f} at age {a}" for a in AGES if self.losses[a]]
        print(f"step {self.step}: loss {self.history[-1]['loss']:.4f}; {', '.join(ages)}", flush=True)
        self.losses.clear()

    def save(self, out: Path, steps: int) -> None:
        """Write the checkpoint and the average; each file is written whole or not at all."""
        state = {"step": self.step, "init": self.init, "seed": self.seed, "history": self.history}
        write_safetensors(self._tensors(), checkpoint_path(out), {"state": json.dumps(state)})
        save_dae(self.average, out, self._card(steps), half=True)

    def resume(self, out: Path) -> None:
        """Go on from the checkpoint of ``out``.

        :raises ValueError: it belongs to another run, or is damaged.
        """
        path = checkpoint_path(out)
        tensors, metadata = read_safetensors(path)
        state = json.loads(metadata.get("state", "{}"))
        if (state.get("init"), state.get("seed")) != (self.init, self.seed):
            raise ValueError(f"{path}: of a run with another --init or --seed; give the same ones, or another --out.")
        for parameter in self.network.parameters():
            zero = torch.zeros_like(parameter)
            self.optimizer.state[parameter] = {"step": torch.zeros(()), "exp_avg": zero, "exp_avg_sq": zero.clone()}
        targets = self._tensors()
        if {k: v.shape for k, v in targets.items()} != {k: v.shape for k, v in tensors.items()}:
            raise ValueError(f"{path}: not a checkpoint of this network; move it away to start anew.")
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(tensors[name])
        self.step, self.history = int(state["step"]), list(state["history"])

    def _tensors(self) -> dict[str, Tensor]:
        """Weights, averages and the state of the optimizer by name."""
        tensors = {f"average.{name}": value for name, value in self.average.named_parameters()}
        for name, parameter in self.network.named_parameters():
            tensors[f"network.{name}"] = parameter
            tensors |= {f"optimizer.{key}.{name}": value for key, value in self.optimizer.state[parameter].items()}
        return tensors

    def _card(self, steps: int) -> dict[str, Any]:
        """The model card, as ``daep train`` fills it."""
        config = {"network": self.network.config(), "steps": steps, "batch": BATCH, "crop": CROP, "optimizer": "adamw"}
        config |= {"learning_rate": LEARNING_RATE, "warmup": WARM_UP, "clip": CLIP, "ema": DECAY, "seed": self.seed}
        return {
            "task": "removes noise and the traces of a wrong blur kernel",
            "config": config,
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "step": self.step,
            "started_from": self.init,
            "torch": torch.__version__,
            "training_images": len(self.images),
            "training_loss": self.history,
        }


def learning_rate(step: int, steps: int) -> float:
    """Of step ``step``, from 0: a linear warm-up times a cosine that ends with the last step."""
    cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return LEARNING_RATE * min(1, (step + 1) / WARM_UP) * cosine + LAST_RATE


def loss(output: Tensor, sharp: Tensor, level: Tensor) -> Tensor:
    """``(mean e^2 + 4 mean |grad e|^2) / (s + 0.02)`` of each image, (B,); images (B, 1, N, N), levels (B,)."""
    error = (output - sharp)[..., OUTSIDE:-OUTSIDE, OUTSIDE:-OUTSIDE]
    edges = [error.diff(dim=axis).square().mean((1, 2, 3)) for axis in (-1, -2)]
    return (error.square().mean((1, 2, 3)) + EDGE_WEIGHT * (edges[0] + edges[1])) / (level + LEVEL_OFFSET)


def moved_onto(sharp: Tensor, output: Tensor) -> Tensor | None:
    """``sharp`` shifted periodically to where its gradient correlates best with that of ``output``; (1, 1, N, N).

    The correlation is ``F^-1[|f|^2 O conj(X)]`` with the frequency ``f``. A parabola through its largest value and the
    neighbours gives the part of a pixel. ``None``: more than eight pixels away.
    """
    side = sharp.shape[-1]
    down, right = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)
    images = torch.fft.rfft2(sharp[0, 0])
    spectrum = torch.fft.rfft2(output[0, 0]) * images.conj() * (down.square() + right.square())
    correlation = torch.fft.irfft2(spectrum, s=(side, side))
    row, column = divmod(int(correlation.argmax()), side)
    shift = [
        _peak(correlation[:, column].roll(1 - row)[:3], row, side),
        _peak(correlation[row].roll(1 - column)[:3], column, side),
    ]
    if sum(map(abs, shift)) < LEAST_SHIFT:
        return sharp
    if max(map(abs, shift)) > LARGEST_SHIFT:
        return None
    phase = torch.exp(-2j * math.pi * (down * shift[0] + right * shift[1]))
    return torch.fft.irfft2(images * phase, s=(side, side))[None, None]


def _peak(three: Tensor, middle: int, side: int) -> float:
    """Place of the peak of a parabola through three values around ``middle``, in ``[-side / 2, side / 2]``."""
    before, largest, after = three.tolist()
    bend = before - 2 * largest + after
    part = 0.0 if abs(bend) < 1e-12 else max(-0.5, min(0.5, 0.5 * (before - after) / bend))
    place = middle + part
    return place - side if place > side / 2 else place


def training_images(folder: Path) -> list[np.ndarray]:
    """The photographs of ``folder/*/*.jpg`` in grey, (h, w), uint8, at all :data:`SCALES` that hold a crop."""
    images = []
    for path in sorted(folder.glob("*/*.jpg")):
        image = Image.open(path).convert("L")
        for scale in SCALES:
            size = (int(image.width * scale), int(image.height * scale))
            if min(size) >= CROP:
                images.append(np.asarray(image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)))
    if not images:
        raise ValueError(f"{folder}: no folder in it has a .jpg of at least {CROP} x {CROP} pixels to train on.")
    return images


def _checked(arguments: argparse.Namespace) -> None:
    """Refuse bad arguments before any work starts.

    :raises ValueError: with the argument, what was given and what is expected.
    """
    out, checkpoint = arguments.out, checkpoint_path(arguments.out)
    if arguments.steps < 1:
        raise ValueError(f"--steps {arguments.steps}: expected at least 1.")
    if arguments.seed < 0:
        raise ValueError(f"--seed {arguments.seed}: expected at least 0.")
    if out.suffix != ".safetensors":
        raise ValueError(f"--out {out}: expected a file that ends in .safetensors.")
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: the folder {out.parent} does not exist.")
    if arguments.resume and not checkpoint.exists():
        raise ValueError(f"--resume: there is no checkpoint {checkpoint}; leave it out to start anew.")
    if not arguments.resume and (out.exists() or checkpoint.exists()):
        raise ValueError(f"--out {out}: it or its checkpoint exists; give --resume to go on, or another file.")


def main() -> None:
    """Train and write the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--init", default="dae", help="shipped name or .safetensors file of the first weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint beside --out")
    arguments = parser.parse_args()
    try:
        _checked(arguments)
        training = Training(arguments.init, training_images(data_folder(arguments.data) / "train"), arguments.seed)
        if arguments.resume:
            training.resume(arguments.out)
        if training.step >= arguments.steps:
            raise ValueError(f"--steps {arguments.steps}: {training.step} steps are done already; give more.")
        training.run(arguments.steps, arguments.out)
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
