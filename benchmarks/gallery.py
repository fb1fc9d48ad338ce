"""The settings of scripts of deepinv's gallery, with their own prior and with ours. Both have the same network.

    python benchmarks/gallery.py --data FOLDER [--images kodak24] [--count 4] [--only TEXT] [--widths]

* Solver, step sizes, weights, denoiser levels, operator and noise are those of the script, see :data:`SCRIPTS`. The
  image is not: crops of 64 x 64 pixels from Kodak24, or of training images (``--images train``). Nor is the kernel:
  a Gaussian. Rows named by a solver have no script: step 1, level 0.03, 30 iterations.
* The script's own prior is ``PnP``, ``RED`` or ``ScorePrior`` with the network ``"dae"`` in place of deepinv's.
* Of scripts on other noise and on nonlinear physics, the whole method stands beside ``DAEP()``, which reads noise and
  physics: ``AnscombeDenoiser``, PGD for phase retrieval, ADMM with total variation for unwrapping.
* PSNR is that of deepinv, the mean over the crops; seconds are those of one crop.

Writes ``results/gallery.csv``. Rows in the file are not measured again. ``--widths`` writes nothing: it prints the PSNR
of solvers at several fixed kernel widths on training crops, by which ``DEFAULT_WIDTH`` of the prior was chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import deepinv as dinv
import torch
import torch.nn.functional as F
from csv_table import Table
from deepinv.models import AnscombeDenoiser
from deepinv.models.complex import to_complex_denoiser
from deepinv.optim import ADMM, DRS, FISTA, HQS, PDCP, PGD, RED, PnP, ScorePrior, TVPrior
from deepinv.optim.data_fidelity import L2, ItohFidelity
from deepinv.optim.dpir import get_DPIR_params
from deepinv.optim.phase_retrieval import correct_global_phase
from deepinv.physics import Physics, PoissonGaussianNoise, PoissonNoise
from deepinv.physics.functional import gaussian_blur
from deepinv.physics.wrappers import to_multiscale
from deepinv.sampling import ULA, SKRock
from protocol import data_folder, read
from rich.console import Console
from torch import Tensor
from training_crops import crops

from daep_deepinv import DAEP, DAEDenoiser, DAEPrior

RESULTS = Path(__file__).parent / "results"
#: Side of a crop, pixels.
SIZE = 64
#: Of the noise of a measurement, and of the samplers.
SEED = 0
#: Kernel widths that ``--widths`` compares, images in [0, 1].
WIDTHS = tuple(n / 255 for n in (3, 5, 7.5, 10, 15, 20, 30))

Solve = Callable[[Any, Tensor, Physics], Tensor]


def itself(x: Tensor, _signal: Any = None) -> Tensor:
    """The image."""
    return x


@dataclass(frozen=True)
class Script:
    """One script: its operator, its solver, and what its own prior is.

    :param Callable physics: shape (C, H, W) to a physics with noise.
    :param Callable solve: (prior, measurement, physics) to images.
    :param Callable own: the script's prior, from a denoiser.
    :param dict ours: options of ``DAEPrior``: without the Jacobian where the script's prior has none either; ``None``:
        ``solve`` gets a method, that of the script or ``DAEP()``.
    :param bool grey: whether the script's image is grey.
    :param Callable signal: what is measured of an image.
    :param Callable shown: what is compared of a restored signal, from (it, the signal).
    """

    physics: Callable[[tuple[int, ...]], Physics]
    solve: Solve
    own: Callable[[Any], Any]
    ours: dict[str, Any] | None
    grey: bool = False
    signal: Callable[[Tensor], Tensor] = itself
    shown: Callable[[Tensor, Tensor], Tensor] = itself


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


def counts(sigma: float) -> Callable[[tuple[int, ...]], Physics]:
    """``demo_anscombe``: photons of gain 0.3, with read noise."""
    noise = PoissonNoise(0.3, clip_positive=True) if sigma == 0 else PoissonGaussianNoise(0.3, sigma, True)
    return lambda shape: dinv.physics.Denoising(noise)


def anscombe(sigma: float) -> Callable[[Any], Any]:
    """``demo_anscombe``: its method, from a denoiser. It has 1e-6 where there is no read noise."""

    def anscombe_denoiser(network: Any) -> Any:
        return lambda y, physics: AnscombeDenoiser(network)(y, gain=0.3, sigma=max(sigma, 1e-6))

    return anscombe_denoiser


def without_phase(shape: tuple[int, ...]) -> Physics:
    """``demo_phase_retrieval``: five random measurements a pixel, no noise."""
    count = 5 * shape[0] * shape[1] * shape[2]
    return dinv.physics.RandomPhaseRetrieval(m=count, img_size=shape, rng=torch.Generator().manual_seed(SEED))


def as_phase(x: Tensor) -> Tensor:
    """``demo_phase_retrieval``: 32 x 32 pixels of an image as the phases of a complex one."""
    edge = (x.shape[-1] - 32) // 2
    return torch.exp(1j * torch.pi * (x[..., edge : edge + 32, edge : edge + 32] - 0.5))


def phase(found: Tensor, signal: Tensor) -> Tensor:
    """The image whose phases these are, up to a global phase."""
    return correct_global_phase(found, signal).angle() / torch.pi + 0.5


def phase_by_pgd(network: Any) -> Any:
    """``demo_phase_retrieval``: 100 iterations of PGD, with a denoiser of modulus and angle."""
    prior = PnP(to_complex_denoiser(network, mode="abs_angle"))
    return partial(by(PGD, stepsize=0.3, sigma_denoiser=0.04, max_iter=100, early_stop=True), prior)


def wrapped(shape: tuple[int, ...]) -> Physics:
    """``demo_spatial_unwrapping``: values modulo 1, noise of 0.1."""
    return dinv.physics.SpatialUnwrapping(threshold=1.0, mode="round", noise_model=dinv.physics.GaussianNoise(0.1))


def of_wide_range(x: Tensor) -> Tensor:
    """``demo_spatial_unwrapping``: an image from -1 to 1, at twice the size and blurred."""
    large = F.interpolate(2 * unit_range(x), scale_factor=2, mode="bilinear", antialias=True) - 1
    blurred: Tensor = dinv.physics.Blur(gaussian_blur(sigma=(1, 1)))(large)
    return blurred


def unit_range(x: Tensor, _signal: Any = None) -> Tensor:
    """Each channel from 0 to 1, as the script compares them."""
    low, high = x.amin((-2, -1), keepdim=True), x.amax((-2, -1), keepdim=True)
    return (x - low) / (high - low)


def unwrapped_by_tv(network: Any) -> Any:
    """``demo_spatial_unwrapping``: 10 iterations of ADMM with total variation; without a network."""
    options = {"lambda_reg": 2e4, "stepsize": 1e-4, "g_param": 1.0, "max_iter": 10}
    return ADMM(data_fidelity=ItohFidelity(threshold=1.0), prior=TVPrior(n_it_max=10), **options).eval()


def by_itself(method: Any, y: Tensor, physics: Physics) -> Tensor:
    """The image by a whole method."""
    found: Tensor = method(y, physics)
    return found


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
    "Anscombe, Poisson noise": Script(counts(0.0), by_itself, anscombe(0.0), None, grey=True),
    "Anscombe, Poisson and read noise": Script(counts(0.1), by_itself, anscombe(0.1), None, grey=True),
    "PGD, phase retrieval": Script(
        without_phase, by_itself, phase_by_pgd, None, grey=True, signal=as_phase, shown=phase
    ),
    "ADMM, unwrapping": Script(wrapped, by_itself, unwrapped_by_tv, None, signal=of_wide_range, shown=unit_range),
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
        signal = script.signal(x)
        physics = script.physics(tuple(signal.shape[1:]))
        y, began = physics(signal), time.perf_counter()
        with torch.no_grad():
            restored = script.solve(prior, y, physics)
        seconds += time.perf_counter() - began
        total += float(dinv.metric.PSNR()(script.shown(restored, signal), script.shown(signal, signal)))
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
        prior = DAEP(denoiser=network) if script.ours is None else DAEPrior(network, **script.ours)
        own, ours = (run(script, one, clean) for one in (script.own(network), prior))
        row = {"script": name, "images": which, "own": script.own.__name__}
        row |= {"own psnr": f"{own[0]:.2f}", "own seconds": f"{own[1]:.2f}"}
        row |= {"our psnr": f"{ours[0]:.2f}", "our seconds": f"{ours[1]:.2f}"}
        table.add(row)
        console.print("  ".join(row.values()))


if __name__ == "__main__":
    main()
