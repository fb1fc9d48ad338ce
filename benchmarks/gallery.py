"""The settings of scripts of deepinv's gallery, with their own prior and with ours. Both have the same network.

    python benchmarks/gallery.py --data FOLDER [--images kodak24] [--count 4] [--only TEXT] [--widths]

* Solver, step sizes, weights, denoiser levels, operator and noise are those of the script, see :data:`SCRIPTS`. The
  image is not: crops of 64 x 64 pixels from Kodak24, or of training images (``--images train``). Nor is the kernel:
  a Gaussian. Rows named by a solver have no script: step 1, level 0.03, 30 iterations.
* The script's own prior is ``PnP``, ``RED`` or ``ScorePrior`` with the network ``"dae"`` in place of deepinv's.
* PSNR is that of deepinv, the mean over the crops; seconds are those of one crop.

Writes ``results/gallery.csv``. Rows in the file are not measured again. ``--widths`` writes nothing: it prints the PSNR
of solvers at several fixed kernel widths on training crops, by which ``DEFAULT_WIDTH`` of the prior was chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deepinv as dinv
import torch
from csv_table import Table
from deepinv.optim import ADMM, DRS, FISTA, HQS, PDCP, PGD, RED, PnP, ScorePrior
from deepinv.optim.data_fidelity import L2
from deepinv.optim.dpir import get_DPIR_params
from deepinv.physics import Physics
from deepinv.physics.wrappers import to_multiscale
from deepinv.sampling import ULA, SKRock
from protocol import data_folder, read
from rich.console import Console
from torch import Tensor
from training_crops import crops

from daep_deepinv import DAEDenoiser, DAEPrior

RESULTS = Path(__file__).parent / "results"
#: Side of a crop, pixels.
SIZE = 64
#: Of the noise of a measurement, and of the samplers.
SEED = 0
#: Kernel widths that ``--widths`` compares, images in [0, 1].
WIDTHS = tuple(n / 255 for n in (3, 5, 7.5, 10, 15, 20, 30))

Solve = Callable[[Any, Tensor, Physics], Tensor]


@dataclass(frozen=True)
class Script:
    """One script: its operator, its solver, and what its own prior is.

    :param Callable physics: shape (C, H, W) to a physics with noise.
    :param Callable solve: (prior, measurement, physics) to images.
    :param Callable own: the script's prior, from a denoiser.
    :param dict ours: options of ``DAEPrior``: without the Jacobian where the script's prior has none either.
    :param bool grey: whether the script's image is grey.
    """

    physics: Callable[[tuple[int, ...]], Physics]
    solve: Solve
    own: Callable[[Any], Any]
    ours: dict[str, Any]
    grey: bool = False


def blur(shape: tuple[int, ...]) -> Physics:
    """Gaussian blur of 1.6 pixels, noise of 0.03."""
    kernel = dinv.physics.functional.gaussian_blur(sigma=(1.6, 1.6))
    return dinv.physics.BlurFFT(shape, filter=kernel, noise_model=dinv.physics.GaussianNoise(0.03))


def tomography(shape: tuple[int, ...]) -> Physics:
    """``demo_vanilla_PnP``: 50 angles, noise of 0.03."""
    noise = dinv.physics.GaussianNoise(0.03)
    return dinv.physics.Tomography(angles=50, img_width=shape[-1], normalize=True, noise_model=noise)


def half_missing(shape: tuple[int, ...]) -> Physics:
    """``demo_PnP_multiscale``: half of the pixels, noise of 0.1."""
    return dinv.physics.Inpainting(shape, mask=0.5, noise_model=dinv.physics.GaussianNoise(0.1))


def single_pixel(shape: tuple[int, ...]) -> Physics:
    """``demo_PnP_custom_optim``: 100 patterns of a single-pixel camera for 4096 pixels, noise of 0.03."""
    noise = dinv.physics.GaussianNoise(0.03)
    return dinv.physics.SinglePixelCamera(m=100, img_size=shape, noise_model=noise)


def reduced(shape: tuple[int, ...]) -> Physics:
    """``demo_RED_GSPnP_SR``: blurred and reduced by 2, noise of 0.03."""
    noise = dinv.physics.GaussianNoise(0.03)
    return dinv.physics.Downsampling(img_size=shape, factor=2, filter="gaussian", noise_model=noise)


def by(solver: type, **options: Any) -> Solve:
    """A solver class of deepinv with these options."""

    def solve(prior: Any, y: Tensor, physics: Physics) -> Tensor:
        model = solver(data_fidelity=L2(), prior=prior, **options)
        found: Tensor = model.eval()(y, physics)
        return found

    return solve


def condat_vu(prior: Any, y: Tensor, physics: Physics) -> Tensor:
    """The iteration that ``demo_PnP_custom_optim`` defines, with its ``stepsize`` and ``sigma`` of 0.99."""
    x, z, step = physics.A_adjoint(y), y, 0.99
    for _ in range(200):
        before, x = x, prior.prox(x - step * physics.A_adjoint(z), 0.01, gamma=step)
        z = L2().d.prox_conjugate(z + step * physics.A(2 * x - before), y, gamma=0.99)
    return x


def dpir(prior: Any, y: Tensor, physics: Physics) -> Tensor:
    """``demo_PnP_DPIR_deblur``: HQS with the falling levels and steps of DPIR."""
    sigma, step, iterations = get_DPIR_params(0.03)
    options = {"sigma_denoiser": list(sigma), "stepsize": list(step), "max_iter": iterations}
    return by(HQS, **options)(prior, y, physics)


def coarse_first(prior: Any, y: Tensor, physics: Physics) -> Tensor:
    """``demo_PnP_multiscale``: 16 iterations for the image at half size, then 8."""
    coarse = to_multiscale(physics, y.shape[1:], factors=(2,))
    coarse.set_scale(1)
    small = by(PGD, stepsize=1.0, sigma_denoiser=0.05, max_iter=16)(prior, y, coarse)
    start = coarse.upsample(small)
    model = PGD(data_fidelity=L2(), prior=prior, stepsize=1.0, sigma_denoiser=0.05, max_iter=8)
    found: Tensor = model.eval()(y, physics, init=start)
    return found


def sampled(sampler: type, **options: Any) -> Solve:
    """The mean of the samples of ``demo_sampling``."""

    def solve(prior: Any, y: Tensor, physics: Physics) -> Tensor:
        mean: Tensor = sampler(prior, L2(sigma=0.1), sigma=SCORE, alpha=0.9, **options)(y, physics, seed=SEED)[0]
        return mean

    return solve


#: 15 pi / (2 angles), the step of ``demo_vanilla_PnP``.
CT_STEP = 15 * torch.pi / 100
#: Of ``demo_sampling``: level of the denoiser, and a step of 0.01 sigma^2 for noise of 0.1. It draws 5000 samples.
SCORE = 2 / 255
ULA_STEP = 0.01 * 0.1**2
DEBLUR: dict[str, Any] = {"stepsize": 1.0, "sigma_denoiser": 0.03, "max_iter": 30}
SCRIPTS = {
    "PGD, deblurring": Script(blur, by(PGD, **DEBLUR), PnP, {}),
    "FISTA, deblurring": Script(blur, by(FISTA, **DEBLUR), PnP, {}),
    "HQS, deblurring": Script(blur, by(HQS, **DEBLUR), PnP, {}),
    "ADMM, deblurring": Script(blur, by(ADMM, **DEBLUR), PnP, {}),
    "DRS, deblurring": Script(blur, by(DRS, **DEBLUR), PnP, {}),
    "PDCP, deblurring": Script(blur, by(PDCP, **DEBLUR), PnP, {}),
    "DPIR, deblurring": Script(blur, dpir, PnP, {}),
    "vanilla PnP, CT": Script(
        tomography,
        by(
            PGD,
            stepsize=CT_STEP,
            sigma_denoiser=0.01,
            max_iter=200,
            early_stop=True,
            custom_init=lambda y, physics: physics.A_adjoint(y) * torch.pi / 100,
        ),
        PnP,
        {},
        grey=True,
    ),
    "Condat-Vu, single pixel": Script(single_pixel, condat_vu, PnP, {}, grey=True),
    "PnP, missing pixels": Script(half_missing, by(PGD, stepsize=1.0, sigma_denoiser=0.05, max_iter=24), PnP, {}),
    "multiscale PnP, missing pixels": Script(half_missing, coarse_first, PnP, {}),
    # 30 of its 500 iterations, which it ends by the potential of its network; "dae" has none
    "RED, super-resolution": Script(
        reduced,
        by(
            PGD,
            g_first=True,
            lambda_reg=0.065,
            stepsize=1 / 0.065,
            sigma_denoiser=0.06,
            max_iter=30,
            get_output=lambda state: state["est"][1],
        ),
        RED,
        {"jacobian": False, "noise": "none"},
    ),
    "ULA, 300 steps, missing pixels": Script(
        half_missing, sampled(ULA, step_size=ULA_STEP, max_iter=300), ScorePrior, {}
    ),
    "SKRock, 30 steps of 10, missing pixels": Script(
        half_missing, sampled(SKRock, step_size=10 * ULA_STEP, max_iter=30, inner_iter=10), ScorePrior, {}
    ),
}


def images(data: Path, which: str, count: int) -> list[Tensor]:
    """Crops (1, 3, SIZE, SIZE) from the middle of Kodak24, or of training crops."""
    if which == "train":
        found = crops(data / "train", count)
        margin = (found[0].shape[-1] - SIZE) // 2
        return [x[..., margin : margin + SIZE, margin : margin + SIZE] for x in found]
    paths = sorted((data / which).glob("*.png"))[:count]
    return [read(path, (224, 224 + SIZE, 224, 224 + SIZE)) for path in paths]


def run(script: Script, prior: Any, clean: list[Tensor]) -> tuple[float, float]:
    """PSNR in dB and seconds, means over the crops."""
    total, seconds = 0.0, 0.0
    for x in clean:
        x = x.mean(1, keepdim=True) if script.grey else x
        torch.manual_seed(SEED)
        physics = script.physics(tuple(x.shape[1:]))
        y, began = physics(x), time.perf_counter()
        with torch.no_grad():
            restored = script.solve(prior, y, physics)
        seconds += time.perf_counter() - began
        total += float(dinv.metric.PSNR()(restored, x))
    return total / len(clean), seconds / len(clean)


def compare_widths(clean: list[Tensor], network: DAEDenoiser, console: Console) -> None:
    """Print the PSNR of each solver at each width."""
    prior = DAEPrior(network)
    for width in WIDTHS:
        options = {"stepsize": 1.0, "sigma_denoiser": width, "max_iter": 30}
        found = [
            run(Script(physics, by(solver, **options), PnP, {}), prior, clean)[0]
            for physics in (blur, half_missing)
            for solver in (PGD, HQS, ADMM, DRS)
        ]
        row = " ".join(f"{psnr:6.2f}" for psnr in found)
        console.print(f"{255 * width:5.1f}/255 {row}  mean {sum(found) / len(found):.2f} dB")


def main() -> None:
    """Measure the scripts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--images", default="kodak24", choices=("kodak24", "train"))
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--widths", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    console, network = Console(), DAEDenoiser("dae")
    clean = images(data_folder(arguments.data), "train" if arguments.widths else arguments.images, arguments.count)
    if arguments.widths:
        compare_widths(clean, network, console)
        return
    table = Table(arguments.results / "gallery.csv", "script", "images")
    for name, script in SCRIPTS.items():
        which = f"{arguments.images} {len(clean)}"
        if arguments.only not in name or table.find(name, which):
            continue
        own, ours = (run(script, prior, clean) for prior in (script.own(network), DAEPrior(network, **script.ours)))
        row = {"script": name, "images": which, "own": script.own.__name__}
        row |= {"own psnr": f"{own[0]:.2f}", "own seconds": f"{own[1]:.2f}"}
        row |= {"our psnr": f"{ours[0]:.2f}", "our seconds": f"{ours[1]:.2f}"}
        table.add(row)
        console.print("  ".join(row.values()))


if __name__ == "__main__":
    main()
