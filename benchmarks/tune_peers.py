"""Find the parameters of the peers: the tables of ``adapters/daep_deepinv/peers.py``.

    python benchmarks/tune_peers.py --data FOLDER [--denoiser dae] [--peers pnp-hqs,red]

Four crops of 96 x 96 pixels of *training* images (``train/`` in the data folder, two of BSDS and two of ImageNet; never
a test image) under six problems: valid motion blur (a random kernel an image, 13 to 19 pixels) with noise of 2.55, 7.65
and 12.75 of 255; bicubic reduction by 2, 3 and 4 (another crop each); 70 % of the pixels missing; noise of 25.5. For
each peer and problem a coordinate search, coarse to fine (factors of 2, then of 1.4), maximises the mean PSNR over what
is measured, within the trials of ``TRIALS``. Every trial is a row of ``benchmarks/results/tune_peers.csv``; an
interrupted search goes on. What was found is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import torch
from deepinv.loss.metric import PSNR
from deepinv.physics import Inpainting, LinearPhysics
from deepinv.physics.generator import MotionBlurGenerator
from protocol import Table, data_folder, eight_bits, read
from rich.console import Console
from torch import Tensor

from daep_compare.peers import CLASSICAL_PEERS, Peer, Settings
from daep_deepinv import DAEDenoiser, degradation

RESULTS = Path(__file__).parent / "results"
SIZE, MARGIN = 96, 9
#: file and upper left corner of the crops
CROPS = (
    ("bsds/100075.jpg", 100, 120),
    ("bsds/12003.jpg", 60, 200),
    ("imagenet/n02980441_castle.jpg", 60, 60),
    ("imagenet/n02123045_tabby.jpg", 60, 60),
)
KERNEL_SIZES = (13, 15, 17, 19)
#: The longer ones start from what was found for a relative.
TRIALS = {"pnp-hqs": 16, "pnp-hqs-24": 14, "red": 22, "pnp-admm": 12, "dmsp": 8, "gs-pnp": 14}
TRIALS_CLASSICAL = 5
#: Problems that are searched for, of the peers that are not searched for all; the other parameters are those guesses.
TASKS_OF = {
    "red": ("blur", "super-resolution", "holes", "denoising"),
    "pnp-admm": ("blur", "super-resolution", "holes", "denoising"),
    "dmsp": ("blur", "super-resolution", "holes", "denoising"),
}
#: Which of first, last, weight and step are searched, in this order.
FREE = {
    "pnp-hqs": (2, 1, 0),
    "pnp-hqs-24": (2, 1),
    "pnp-admm": (2, 1, 0),
    "red": (2, 1, 3),
    "dmsp": (2, 1, 3),
    "gs-pnp": (2, 3, 1),
}
#: The level of a denoiser that was trained up to 55, with a margin; the step of RED is at most the whole one.
LARGEST = Settings(first=60, last=100, weight=100, step=1)
FACTORS = (2.0, 1.4)


@dataclass
class Problem:
    """What one set of parameters is for: measurements of the crops, all of one task and noise level."""

    task: str
    noise: float
    cases: list[tuple[Tensor, Tensor, LinearPhysics]]

    def psnr(self, restore: Callable[[Tensor, LinearPhysics], Tensor]) -> float:
        """Mean over the crops, over the part of each that a kernel of 19 pixels leaves."""
        values = []
        for clean, y, physics in self.cases:
            restored = eight_bits(restore(y, physics))
            values += PSNR()(*(x[..., MARGIN:-MARGIN, MARGIN:-MARGIN] for x in (restored, clean))).tolist()
        return sum(values) / len(values)


def problems(data: Path) -> Iterator[Problem]:
    """The six problems; all randomness from fixed seeds."""
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
        yield Problem("blur", noise, cases)
    cases = []
    for factor, chosen in ((2, [0]), (3, [2]), (4, [3])):
        physics = degradation(factor=factor, img_size=(3, SIZE, SIZE))
        cases.append((clean[chosen], eight_bits(physics.A(clean[chosen])), physics))
    yield Problem("super-resolution", 0, cases)
    mask = (torch.rand(1, 1, SIZE, SIZE, generator=rng) > 0.7).float().expand(1, 3, -1, -1)
    physics = Inpainting(img_size=(3, SIZE, SIZE), mask=mask)
    yield Problem("holes", 0, [(clean, physics.A(clean), physics)])
    noisy = clean + 25.5 / 255 * torch.randn(clean.shape, generator=rng)
    yield Problem("denoising", 25.5, [(clean, noisy, degradation(sigma=25.5 / 255))])


def first_guess(name: str, problem: Problem, best: Callable[[str], Settings]) -> Settings | float:
    """Where a search starts: DPIR's published values, or what was found for a relative."""
    if name in CLASSICAL_PEERS:
        return 20.0 if name == "richardson-lucy" else 0.1 * max(problem.noise, 1) / 255
    if name == "pnp-hqs":
        return Settings(49, 1 if problem.noise else 2, 0.23)
    if name == "dmsp":
        return Settings(49, 7 / max(problem.noise, 1), 1.5, 0.5)
    if name == "gs-pnp":
        red = best("red")
        return Settings(red.first, red.last, 2 * red.weight, red.step)
    hqs = best("pnp-hqs")
    if name == "pnp-hqs-24" or problem.task != "blur":
        return Settings(hqs.first, hqs.last, hqs.weight, 0.9) if name == "red" else hqs
    # where no denoising comes last, 1 is the weight of the posterior's maximum
    return Settings(hqs.first, hqs.last, 1.0, 0.9 if name == "red" else 1.0)


def search(
    start: tuple[float, ...],
    largest: tuple[float, ...],
    free: tuple[int, ...],
    value: Callable[..., float],
    trials: int,
) -> tuple[float, ...]:
    """Coordinate search by factors: along each free coordinate as long as it improves, then finer."""
    seen: dict[tuple[float, ...], float] = {}

    def score(point: tuple[float, ...]) -> float:
        if point not in seen:
            if len(seen) >= trials:
                return float("-inf")
            seen[point] = value(point)
        return seen[point]

    best = start
    score(best)
    for factor in FACTORS:
        improved = True
        while improved and len(seen) < trials:
            improved = False
            for i in free:
                for ratio in (factor, 1 / factor):
                    while True:
                        moved = min(best[i] * ratio, largest[i])
                        point = (*best[:i], float(f"{moved:.3g}"), *best[i + 1 :])
                        if point == best or score(point) <= score(best):
                            break
                        best, improved = point, True
    return best


def main() -> None:
    """Search what has not been searched, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--denoiser", default="dae")
    parser.add_argument("--peers", default=",".join((*TRIALS, *CLASSICAL_PEERS)))
    arguments = parser.parse_args()
    network, console = DAEDenoiser(arguments.denoiser), Console()
    table = Table(RESULTS / "tune_peers.csv", "key")
    tasks = list(problems(data_folder(arguments.data)))

    def best(name: str, problem: Problem) -> tuple[float, ...]:
        prefix = f"{name} | {problem.task} | {problem.noise:g} |"
        rows = [row for row in table.rows if row["key"].startswith(prefix)]
        chosen = max(rows, key=lambda row: float(row["psnr"]))
        return tuple(map(float, chosen["key"].removeprefix(prefix).split()))

    for name in arguments.peers.split(","):
        for problem in tasks:
            if name not in ("pnp-hqs", "pnp-hqs-24") and problem.task not in TASKS_OF.get(name, ("blur",)):
                continue
            guess = first_guess(name, problem, lambda other, p=problem: Settings(*best(other, p)))
            classical = not isinstance(guess, Settings)

            def trial(point: tuple[float, ...], name: str = name, problem: Problem = problem) -> float:
                key = f"{name} | {problem.task} | {problem.noise:g} | " + " ".join(f"{p:g}" for p in point)
                row = table.find(key)
                if row is None:
                    parameters = point[0] if name in CLASSICAL_PEERS else Settings(*point)
                    model = Peer(name, problem.noise / 255, network, parameters=parameters)
                    with torch.no_grad():
                        row = {"key": key, "psnr": f"{problem.psnr(model):.3f}"}
                    table.add(row)
                return float(row["psnr"])

            if classical:
                search((guess,), (1000.0,), (0,), trial, TRIALS_CLASSICAL)
            else:
                search(astuple(guess), astuple(LARGEST), FREE[name], trial, TRIALS[name])
            found = best(name, problem)
            console.print(
                f"{name} | {problem.task} | {problem.noise:g}: {found}  {trial(found):.2f} dB", highlight=False
            )


if __name__ == "__main__":
    main()
