"""Find the parameters of the peers, on crops of training images.

    python benchmarks/tune_peers.py --data FOLDER [--denoiser dae] [--peers pnp-hqs,red] [-o settings.json]

Four crops of 96 x 96 pixels of *training* images (``train/`` in the data folder, two of BSDS and two of ImageNet; never
a test image) under six problems:

* deblurring: ``valid`` motion blur, a random kernel an image, 13 to 19 pixels; noise of 2.55, 7.65 and 12.75 of 255;
* super-resolution: bicubic reduction by 2, 3 and 4, another crop each; noise-free in 8 bits;
* inpainting: 70 % of the pixels are missing; noise-free;
* denoising: noise of 25.5 of 255.

For each peer and problem a coordinate search, coarse to fine (factors of 2, then of 1.4), maximises the mean PSNR over
the measured pixels in at most ``TRIALS`` trials. Every trial is a row of ``results/tune_peers.csv``; an interrupted
search continues there. Prints what was found. ``-o`` writes it in the form of
``adapters/daep_compare/peers/settings.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass, fields
from importlib.resources import files
from pathlib import Path

import torch
from coordinate_search import Point, coordinate_search
from csv_table import Table
from deepinv.loss.metric import PSNR
from deepinv.physics import Inpainting, LinearPhysics
from deepinv.physics.generator import MotionBlurGenerator
from protocol import data_folder, eight_bits, read
from rich.console import Console
from torch import Tensor, nn

from daep_compare.peers import CLASSICAL_PEERS, Peer, Settings
from daep_compare.peers.tuned_settings import Task
from daep_deepinv import DAEDenoiser, degradation

RESULTS = Path(__file__).parent / "results"
#: Side of a crop and frame without PSNR, pixels.
SIZE, MARGIN = 96, 9
#: File, and row and column of the upper left corner of each crop.
CROPS = (
    ("bsds/100075.jpg", 100, 120),
    ("bsds/12003.jpg", 60, 200),
    ("imagenet/n02980441_castle.jpg", 60, 60),
    ("imagenet/n02123045_tabby.jpg", 60, 60),
)
#: Side of the motion kernel of each crop, pixels.
KERNEL_SIZES = (13, 15, 17, 19)
#: Most trials of a search, which starts from what was found for a related peer.
TRIALS = {"pnp-hqs": 16, "pnp-hqs-24": 14, "red": 22, "pnp-admm": 12, "dmsp": 8, "gs-pnp": 14}
TRIALS_CLASSICAL = 5
#: Peers searched for deblurring only.
DEBLURRING_ONLY = ("gs-pnp", *CLASSICAL_PEERS)
#: The fields of ``Settings`` that are searched, in this order.
FREE = {
    "pnp-hqs": ("weight", "last", "first"),
    "pnp-hqs-24": ("weight", "last"),
    "pnp-admm": ("weight", "last", "first"),
    "red": ("weight", "last", "step"),
    "dmsp": ("weight", "last", "step"),
    "gs-pnp": ("weight", "step", "last"),
}
#: The denoiser is trained up to 55 of 255; the step of RED is at most 1.
LARGEST = Settings(first=60, last=100, weight=100, step=1)
LARGEST_CLASSICAL = 1000.0
#: Of a step of the search, coarse to fine.
FACTORS = (2.0, 1.4)


@dataclass
class Problem:
    """Measurements of the crops, all of one task and one noise level: the problem of one set of parameters.

    :param float noise: standard deviation, of 255.
    :param list cases: clean images (B, 3, H, W), their measurements and physics.
    """

    task: Task
    noise: float
    cases: list[tuple[Tensor, Tensor, LinearPhysics]]

    def __str__(self) -> str:
        return f"{self.task} | {self.noise:g}"

    def psnr(self, restore: Callable[[Tensor, LinearPhysics], Tensor]) -> float:
        """Mean PSNR in dB over the crops, within the pixels that a kernel of 19 pixels measures."""
        values = []
        for clean, y, physics in self.cases:
            restored = eight_bits(restore(y, physics))
            values += PSNR()(*(x[..., MARGIN:-MARGIN, MARGIN:-MARGIN] for x in (restored, clean))).tolist()
        return sum(values) / len(values)


def problems(data: Path) -> Iterator[Problem]:
    """The six problems, from fixed seeds."""
    clean = torch.cat([read(data / "train" / f, (r, r + SIZE, c, c + SIZE)) for f, r, c in CROPS])
    rng = torch.Generator().manual_seed(0)
    frame = max(KERNEL_SIZES)
    kernels = torch.zeros(len(clean), 1, frame, frame)
    for i, size in enumerate(KERNEL_SIZES):
        edge = (frame - size) // 2
        kernel = MotionBlurGenerator((size, size)).step(seed=i)["filter"][0, 0]
        kernels[i, 0, edge : edge + size, edge : edge + size] = kernel / kernel.sum()
    for noise in (2.55, 7.65, 12.75):
        cases = []
        for i in range(len(clean)):
            physics = degradation(kernels[i, 0])
            y = physics.A(clean[i : i + 1])
            cases.append((clean[i : i + 1], y + noise / 255 * torch.randn(y.shape, generator=rng), physics))
        yield Problem("deblurring", noise, cases)
    cases = []
    for factor, chosen in ((2, [0]), (3, [2]), (4, [3])):
        physics = degradation(factor=factor, img_size=(3, SIZE, SIZE))
        cases.append((clean[chosen], eight_bits(physics.A(clean[chosen])), physics))
    yield Problem("super-resolution", 0, cases)
    mask = (torch.rand(1, 1, SIZE, SIZE, generator=rng) > 0.7).float().expand(1, 3, -1, -1)
    physics = Inpainting(img_size=(3, SIZE, SIZE), mask=mask)
    yield Problem("inpainting", 0, [(clean, physics.A(clean), physics)])
    noisy = clean + 25.5 / 255 * torch.randn(clean.shape, generator=rng)
    yield Problem("denoising", 25.5, [(clean, noisy, degradation(sigma=25.5 / 255))])


def first_guess(name: str, problem: Problem, best: Callable[[str], Settings]) -> Settings | float:
    """Start of a search: DPIR's published values, or what ``best`` says of a related peer."""
    if name in CLASSICAL_PEERS:
        return 20.0 if name == "richardson-lucy" else 0.1 * max(problem.noise, 1) / 255
    if name == "pnp-hqs":
        return Settings(first=49, last=1 if problem.noise else 2, weight=0.23)
    if name == "dmsp":
        return Settings(first=49, last=7 / max(problem.noise, 1), weight=1.5, step=0.5)
    if name == "gs-pnp":
        red = best("red")
        return Settings(red.first, red.last, 2 * red.weight, red.step)
    hqs = best("pnp-hqs")
    if name == "pnp-hqs-24" or problem.task != "deblurring":
        return Settings(hqs.first, hqs.last, hqs.weight, 0.9) if name == "red" else hqs
    # without a last denoising, 1 is the weight of the posterior's maximum
    return Settings(hqs.first, hqs.last, 1.0, 0.9 if name == "red" else 1.0)


class Trials:
    """All trials, of this search and of earlier ones.

    :param Path path: the CSV file.
    """

    def __init__(self, path: Path, network: nn.Module):
        self.table, self.network = Table(path, "key"), network

    def psnr(self, name: str, problem: Problem, point: Point) -> float:
        """Mean PSNR of a peer with these parameters; measured once."""
        key = f"{name} | {problem} | " + " ".join(f"{p:g}" for p in point)
        row = self.table.find(key)
        if row is None:
            parameters = point[0] if name in CLASSICAL_PEERS else Settings(*point)
            model = Peer(name, problem.noise / 255, self.network, parameters=parameters)
            with torch.no_grad():
                row = {"key": key, "psnr": f"{problem.psnr(model):.3f}"}
            self.table.add(row)
        return float(row["psnr"])

    def best(self, name: str, problem: Problem) -> Point:
        """The best parameters tried so far."""
        prefix = f"{name} | {problem} |"
        rows = [row for row in self.table.rows if row["key"].startswith(prefix)]
        chosen = max(rows, key=lambda row: float(row["psnr"]))
        return tuple(map(float, chosen["key"].removeprefix(prefix).split()))

    def search(self, name: str, problem: Problem) -> Point:
        """Search the parameters of a peer for one problem; the best ones."""
        guess = first_guess(name, problem, lambda other: Settings(*self.best(other, problem)))

        def value(point: Point) -> float:
            return self.psnr(name, problem, point)

        if isinstance(guess, Settings):
            names = [field.name for field in fields(Settings)]
            free = [names.index(field) for field in FREE[name]]
            coordinate_search(astuple(guess), astuple(LARGEST), free, value, TRIALS[name], FACTORS)
        else:
            coordinate_search((guess,), (LARGEST_CLASSICAL,), [0], value, TRIALS_CLASSICAL, FACTORS)
        return self.best(name, problem)


def write_settings(found: dict[tuple[str, Task, float], Point], denoiser: str, path: Path) -> None:
    """Write the shipped settings with the cells that were found here."""
    content = json.loads((files("daep_compare.peers") / "settings.json").read_text())
    content["network"] = denoiser
    for (name, task, noise), point in found.items():
        field = "iterations" if name == "richardson-lucy" else "weight"
        row = {field: point[0]} if name in CLASSICAL_PEERS else asdict(Settings(*point))
        content["tuned"][name][task][f"{noise:g}"] = row
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    """Search the missing cells, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--denoiser", default="dae")
    parser.add_argument("--peers", default=",".join((*TRIALS, *CLASSICAL_PEERS)))
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    trials, found = Trials(RESULTS / "tune_peers.csv", DAEDenoiser(arguments.denoiser)), {}
    every = list(problems(data_folder(arguments.data)))
    for name in arguments.peers.split(","):
        for problem in every:
            if name not in DEBLURRING_ONLY or problem.task == "deblurring":
                point = found[name, problem.task, problem.noise] = trials.search(name, problem)
                psnr = trials.psnr(name, problem, point)
                Console().print(f"{name} | {problem}: {point}  {psnr:.2f} dB", highlight=False)
    if arguments.output:
        write_settings(found, arguments.denoiser, arguments.output)


if __name__ == "__main__":
    main()
