"""Whether the deviation of ``DAEP.posterior`` is the error, in six tasks.

    python benchmarks/calibration.py --data FOLDER [--images kodak24] [--count 24] [--tasks tomography] [--cache FOLDER]
    python benchmarks/calibration.py --data FOLDER --images train --count 9 --choose

* Images: crops of 64 x 64 pixels from the middle of Kodak24, or of training images (``--images train``). Fewer than 24
  crops of Kodak24 are evenly spaced.
* Tasks: Gaussian blur of 1.6 pixels with noise of 2.55; random motion blur with noise of 7.65; bicubic reduction by 3
  with noise of 1; 70 % of the pixels missing, noise of 2.55; parallel-beam tomography with 30 angles, grey, noise of
  2.55; noise alone, of 3, 15 and 40 in turn. White is 255.
* ``coverage``: share of the pixels within the 90 % interval. ``rank``: Spearman's correlation of deviation and absolute
  error over all values of a crop; ``rank colour``: of their root mean squares over the channels; ``rank 8x8``: over
  windows of 8 x 8 pixels also. ``restored``, ``mean of samples`` and ``one sample``: PSNR in dB of ``DAEP``, which is
  the estimate of ``posterior``, of the mean of the samples, and of the first. ``seconds``: of the samples of a crop.
  Means over the crops.
* ``limit``: the ``rank`` of a map that knows the root mean square of the error over windows of 3 x 3 pixels and the
  channels, for errors drawn from the normal distribution of this deviation.
* ``rank together``: ``rank`` over the values of all crops at once.
* ``lowest`` and ``highest``: coverage of single crops.

Writes ``results/calibration.csv``, for training images ``results/calibration_train.csv``. The plot of coverage against
the share that is asked for is ``docs/images/coverage.png``. ``--cache`` keeps the statistics of the samples of each
crop, so that an interrupted run continues.

``--choose`` writes nothing. It prints, for each task, the rank correlation by the window and of the local variance of
the restored image, and by the power the standard deviation over the crops of the coverage, with the factor that makes
its mean 90 %: by these, ``CALIBRATIONS`` of ``daep_deepinv.calibration`` were chosen on training images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist

import deepinv as dinv
import torch
from csv_table import Table
from deepinv.physics import LinearPhysics
from deepinv.physics.generator import MotionBlurGenerator
from gallery import SIZE, images
from matplotlib.figure import Figure
from protocol import data_folder
from rich.console import Console
from torch import Tensor
from torch.nn.functional import avg_pool2d

from daep_deepinv import DAEP, degradation
from daep_deepinv.calibration import CALIBRATIONS, Calibration, expected_error

HERE = Path(__file__).parent
RESULTS, PLOT = HERE / "results", HERE.parent / "docs" / "images" / "coverage.png"
SEED = 0
#: Images of Kodak24.
KODAK = 24
#: Share of the pixels that an interval is to cover.
SHARE = 0.9
#: Side of the windows of ``rank 8x8``, pixels.
WINDOW = 8
#: Noise levels of the crops that are denoised.
LEVELS = (3 / 255, 15 / 255, 40 / 255)
#: Side of the kernels of random motion, pixels.
MOTION = 15
#: What ``--choose`` compares.
WINDOWS, POWERS = (1, 3, 5), (0.5, 0.6, 0.75, 1.0, 1.25, 1.5, 1.75)


def deblurring(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """Gaussian blur, circular."""
    return degradation(dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6)), sigma=2.55 / 255, padding="circular")


def motion_blur(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """Random motion, circular, another trail for each crop."""
    trail = MotionBlurGenerator((MOTION, MOTION), l=0.3, sigma=0.25).step(seed=number)["filter"]
    return degradation(trail, sigma=7.65 / 255, padding="circular")


def super_resolution(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """Bicubic reduction by 3."""
    return degradation(factor=3, sigma=1 / 255, img_size=(shape[0], shape[1], shape[2]))


def missing_pixels(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """30 % of the pixels are known, another mask for each crop."""
    mask = (torch.rand((1, *shape[1:]), generator=torch.Generator().manual_seed(number)) < 0.3).float()
    noise = dinv.physics.GaussianNoise(2.55 / 255)
    return dinv.physics.Inpainting(shape, mask=mask.expand(shape), noise_model=noise)


def tomography(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """30 angles."""
    noise = dinv.physics.GaussianNoise(2.55 / 255)
    return dinv.physics.Tomography(angles=30, img_width=shape[-1], circle=False, normalize=True, noise_model=noise)


def denoising(shape: tuple[int, ...], number: int) -> LinearPhysics:
    """Noise alone, of another level for each of three crops in turn."""
    return dinv.physics.Denoising(dinv.physics.GaussianNoise(LEVELS[number % len(LEVELS)]))


#: Operator with its noise, and kind of task in ``CALIBRATIONS``.
TASKS: dict[str, tuple[Callable[[tuple[int, ...], int], LinearPhysics], str]] = {
    "deblurring": (deblurring, "general"),
    "motion blur": (motion_blur, "weak blur"),
    "super-resolution": (super_resolution, "enlargement"),
    "missing pixels": (missing_pixels, "missing pixels"),
    "tomography": (tomography, "tomography"),
    "denoising": (denoising, "denoising"),
}


@dataclass(frozen=True)
class Drawn:
    """The truth, the restoration, and mean, standard deviation and first of the samples, each (1, C, H, W)."""

    x: Tensor
    restored: Tensor
    mean: Tensor
    std: Tensor
    one: Tensor
    seconds: float

    def error(self) -> Tensor:
        """Absolute error of the restored image."""
        return (self.restored - self.x).abs()

    def deviation(self, how: Calibration) -> Tensor:
        """Its expected error."""
        return expected_error(self.std.square(), how)

    def ratios(self, how: Calibration) -> Tensor:
        """Error in units of the expected one, of each pixel."""
        return (self.error() / self.deviation(how).clamp_min(1e-8)).flatten()


def crops_of(data: Path, which: str, count: int) -> dict[int, Tensor]:
    """Crops by their number, which is the seed of their noise."""
    if which == "train":
        return dict(enumerate(images(data, which, count)))
    everything = images(data, which, KODAK)
    return {number: everything[number] for number in range(0, KODAK, KODAK // count)}


def draw(task: str, image: Tensor, number: int, samples: int) -> Drawn:
    """The samples of a crop."""
    build, _ = TASKS[task]
    x = image.mean(1, keepdim=True) if task == "tomography" else image
    side = SIZE - SIZE % 3 if task == "super-resolution" else SIZE
    x = x[..., :side, :side]
    physics = build(tuple(x.shape[1:]), number)
    sigma = float(physics.noise_model.sigma)
    y = physics.A(x)
    y = y + sigma * torch.randn(y.shape, generator=torch.Generator().manual_seed(number))
    y = y * physics.mask if task == "missing pixels" else y
    model, began = DAEP(sigma, check_noise=False), time.perf_counter()
    found = model.sample(y, physics, n=samples, seed=SEED)
    seconds = time.perf_counter() - began
    # a factor in the samples makes up for the degree of freedom of their mean
    return Drawn(x, model(y, physics), found.mean(0), found.std(0, correction=0), found[0], seconds)


def drawn(task: str, image: Tensor, number: int, samples: int, cache: Path | None, which: str) -> Drawn:
    """The samples of a crop, from the cache or for it."""
    path = None if cache is None else cache / f"{which}-{task}-{number}-{samples}.pt"
    if path is not None and path.exists():
        return Drawn(**torch.load(path))
    found = draw(task, image, number, samples)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(vars(found), path)
    return found


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation of all values."""
    ranks = torch.stack([v.flatten().argsort().argsort().double() for v in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])


def in_windows(x: Tensor, side: int = WINDOW) -> Tensor:
    """Root mean square over windows and channels; with a side of 1 over the channels alone."""
    return avg_pool2d(x.square().mean(1, keepdim=True), side).sqrt()


def around(x: Tensor) -> Tensor:
    """Mean over 3 x 3 pixels."""
    return avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def limit(error: Tensor) -> float:
    """Rank correlation of the local root mean square of an error, and of normal errors that have it as deviation."""
    local = around(error.square().mean(1, keepdim=True)).sqrt().expand_as(error)
    normal = torch.randn(error.shape, generator=torch.Generator().manual_seed(SEED))
    return spearman(local, (local * normal).abs())


def psnr(estimate: Tensor, x: Tensor) -> float:
    """Of an estimate within [0, 1], in dB."""
    return float(dinv.metric.PSNR()(estimate.clamp(0, 1), x))


def half_width(share: float) -> float:
    """Of an interval, in standard deviations."""
    return NormalDist().inv_cdf((1 + share) / 2)


def coverage(found: Drawn, how: Calibration, share: float = SHARE) -> float:
    """Share of the pixels within the interval that is to cover ``share``."""
    return float((found.ratios(how) <= half_width(share)).float().mean())


def row_of(found: Sequence[Drawn], how: Calibration) -> dict[str, float]:
    """The measures of a task."""
    rows, errors, deviations = [], [], []
    for one in found:
        error, deviation = one.error(), one.deviation(how)
        errors.append(error.flatten())
        deviations.append(deviation.flatten())
        rows.append(
            {
                "coverage": coverage(one, how),
                "rank": spearman(deviation, error),
                "limit": limit(error),
                "rank colour": spearman(in_windows(deviation, 1), in_windows(error, 1)),
                "rank 8x8": spearman(in_windows(deviation), in_windows(error)),
                "restored": psnr(one.restored, one.x),
                "mean of samples": psnr(one.mean, one.x),
                "one sample": psnr(one.one, one.x),
                "seconds": one.seconds,
            }
        )
    row = {name: sum(one[name] for one in rows) / len(rows) for name in rows[0]}
    single = [one["coverage"] for one in rows]
    together = spearman(torch.cat(deviations), torch.cat(errors))
    return row | {"rank together": together, "lowest": min(single), "highest": max(single)}


def factor_for(found: Sequence[Drawn], how: Calibration) -> float:
    """The factor with which the intervals cover ``SHARE`` of the pixels, on average over the crops."""
    unit = [one.ratios(replace(how, factor=1.0)) for one in found]
    low, high = 0.01, 1e4
    for _ in range(40):
        middle = (low * high) ** 0.5
        covered = sum(float((r <= middle * half_width(SHARE)).float().mean()) for r in unit) / len(unit)
        low, high = (low, middle) if covered > SHARE else (middle, high)
    return high


def choose(task: str, found: Sequence[Drawn], console: Console) -> None:
    """Print by what the numbers of a task were chosen."""
    how = CALIBRATIONS[TASKS[task][1]]
    for window in WINDOWS:
        row = row_of(found, replace(how, window=window))
        console.print(f"{task}: window {window}: rank {row['rank']:.3f}")
    structure = [around(one.restored.square()) - around(one.restored).square() for one in found]
    ranks = [spearman(v, one.error()) for v, one in zip(structure, found, strict=True)]
    console.print(f"{task}: local variance in place of the deviation: rank {sum(ranks) / len(ranks):.3f}")
    for power in POWERS:
        tried = replace(how, power=power)
        tried = replace(tried, factor=factor_for(found, tried))
        covered = torch.tensor([coverage(one, tried) for one in found])
        spread = f"{covered.std():.3f}, {covered.min():.2f} to {covered.max():.2f}"
        console.print(f"{task}: power {power}: factor {tried.factor:.2f}, coverage {spread}")


def plot(found: dict[str, Sequence[Drawn]]) -> Figure:
    """Coverage against the share that is asked for, mean over the crops."""
    figure = Figure(figsize=(4.6, 4.4), dpi=120, layout="constrained")
    axes, asked = figure.subplots(), [n / 20 for n in range(1, 20)]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for task, crops in found.items():
        how = CALIBRATIONS[TASKS[task][1]]
        axes.plot(asked, [sum(coverage(one, how, p) for one in crops) / len(crops) for p in asked], label=task)
    axes.set(
        xlabel="share that the interval is to cover", ylabel="share of the pixels within", xlim=(0, 1), ylim=(0, 1)
    )
    axes.set_aspect("equal")
    axes.legend(frameon=False)
    return figure


def main() -> None:
    """Measure the tasks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--images", default="kodak24", choices=("kodak24", "train"))
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--tasks", default="", help="part of a name")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path, default=PLOT)
    given = parser.parse_args()
    clean = crops_of(data_folder(given.data), given.images, given.count)
    name = "calibration.csv" if given.images == "kodak24" else "calibration_train.csv"
    table, console, all_found = Table(given.results / name, "task"), Console(), {}
    for task in TASKS:
        if given.tasks not in task:
            continue
        found = [drawn(task, x, number, given.samples, given.cache, given.images) for number, x in clean.items()]
        if given.choose:
            choose(task, found, console)
            continue
        all_found[task] = found
        row = row_of(found, CALIBRATIONS[TASKS[task][1]])
        shown = {"task": task, "crops": str(len(clean)), "samples": str(given.samples)}
        table.drop(lambda old, task=task: old["task"] == task)
        table.add(shown | {name: f"{value:.3f}" for name, value in row.items()})
        console.print(task, shown, {name: round(value, 3) for name, value in row.items()})
    if given.images == "kodak24" and len(all_found) == len(TASKS):
        plot(all_found).savefig(given.plot)


if __name__ == "__main__":
    main()
