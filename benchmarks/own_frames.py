"""``daep train`` on frames of one kind, and the network that it gives beside the shipped one.

    python benchmarks/own_frames.py FOLDER [daep train's options, such as --steps 600]

* Training: 200 grey frames of 160 x 160 pixels, 12 bits in 16-bit TIFF, written to FOLDER/frames. They are long
  exposures of *simulated* cells: filaments, vesicles and nuclei, at most 3500 photons, read noise 6, offset 100.
* Test: 16 other scenes without noise. White Gaussian noise of 10/255 and 25/255 is removed; a Gaussian blur of 1.6
  pixels with noise 2.55/255 by ``preset="fast"``.

The same command continues an interrupted training. Writes the mean PSNR to ``results/own_frames.csv``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile
import torch
from csv_table import write_rows
from deepinv.physics import BlurFFT, GaussianNoise
from deepinv.physics.functional import gaussian_blur
from scipy.ndimage import gaussian_filter
from torch import Tensor
from training_crops import RESULTS

from daep_deepinv import DAEP
from daep_prior import DAE, load_dae
from daep_prior.pretrained import read_card

#: Side of a frame, pixels; frames to train on, and scenes to test; first number of the test scenes.
SIDE, FRAMES, TESTS, FIRST_TEST = 160, 200, 16, 1000
#: Photons a pixel at the brightest, standard deviation of the read noise, offset, and value of white.
PHOTONS, READ, OFFSET, WHITE = 3500, 6, 100, 4095
#: Noise levels of the denoising, and blur (pixels) and noise of the restoration; white is 255.
LEVELS, BLUR, BLUR_NOISE = (10, 25), 1.6, 2.55


def scene(number: int) -> np.ndarray:
    """The light of a frame, (SIDE, SIDE) in [0, 1]."""
    rng = np.random.default_rng(number)
    light = np.zeros((SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    for _ in range(rng.integers(2, 5)):  # nuclei
        centre, axes, angle = rng.uniform(0, SIDE, 2), rng.uniform(10, 24, 2), rng.uniform(0, np.pi)
        u = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        v = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
        texture = gaussian_filter(rng.normal(size=light.shape), 2) * 2
        light += ((u / axes[0]) ** 2 + (v / axes[1]) ** 2 < 1) * (0.35 + 0.3 * texture).clip(0)
    for _ in range(rng.integers(25, 50)):  # filaments
        turns = rng.normal(0, 0.04, 300).cumsum() + rng.uniform(0, 2 * np.pi)
        path = rng.uniform(0, SIDE, 2)[:, None] + np.stack([np.cos(turns), np.sin(turns)]).cumsum(1) / 2
        inside = ((path >= 0) & (path < SIDE)).all(0)
        np.add.at(light, tuple(path[:, inside].astype(int)), rng.uniform(0.3, 1.2))
    for _ in range(rng.integers(10, 40)):  # vesicles
        light[tuple(rng.integers(0, SIDE, 2))] += rng.uniform(2, 8)
    light = gaussian_filter(light, 0.9) + 0.04
    return (light / np.quantile(light, 0.999)).clip(0, 1)


def values(light: np.ndarray) -> np.ndarray:
    """The mean values of a frame."""
    return OFFSET + PHOTONS * light


def write_frames(folder: Path) -> None:
    """The frames to train on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(FRAMES):
        rng = np.random.default_rng([number, 1])
        light = scene(number)
        exposed = OFFSET + rng.poisson(PHOTONS * light) + rng.normal(0, READ, light.shape)
        tifffile.imwrite(folder / f"{number:03}.tif", exposed.round().clip(0, WHITE).astype(np.uint16))


def tests() -> Tensor:
    """The scenes to test, (TESTS, 1, SIDE, SIDE), white is 1."""
    clean = np.stack([values(scene(FIRST_TEST + i)) / WHITE for i in range(TESTS)])
    return torch.from_numpy(clean.astype(np.float32))[:, None]


def psnr(result: Tensor, clean: Tensor) -> float:
    """Mean over the images."""
    return float(-10 * (result.clamp(0, 1) - clean).square().mean((1, 2, 3)).log10().mean())


def measured(network: DAE, clean: Tensor) -> dict[str, str]:
    """The PSNR of each task."""
    found = {}
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    for level in LEVELS:
        with torch.no_grad():
            found[f"noise {level}"] = f"{psnr(network(clean + level / 255 * noise, level / 255), clean):.2f}"
    physics = BlurFFT((1, SIDE, SIDE), gaussian_blur(sigma=(BLUR, BLUR)), noise_model=GaussianNoise(BLUR_NOISE / 255))
    y = physics.A(clean) + BLUR_NOISE / 255 * noise
    x = DAEP(BLUR_NOISE / 255, denoiser=network, preset="fast")(y, physics)
    return found | {f"blur, noise {BLUR_NOISE}": f"{psnr(x, clean):.2f}"}


def main() -> None:
    """Make the frames, train, and measure."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, options = Path(sys.argv[1]), sys.argv[2:]
    frames, weights = folder / "frames", folder / "frames.safetensors"
    if len(list(frames.glob("*.tif"))) < FRAMES:
        write_frames(frames)
    command = [sys.executable, "-m", "daep_cli", "train", str(frames), "-o", str(weights), *options]
    if subprocess.run(command).returncode:
        sys.exit("the training did not finish; the same command continues it")
    card, clean = read_card(weights), tests()
    rows = []
    for name, network in (("dae", load_dae("dae")), ("daep train", load_dae(weights))):
        steps = {"steps": "", "seconds": ""} if name == "dae" else {"steps": card["step"], "seconds": card["seconds"]}
        rows.append({"network": name, **steps, **measured(network, clean)})
        print(rows[-1])
    write_rows(RESULTS / "own_frames.csv", rows)


if __name__ == "__main__":
    main()
