"""``restore`` and scico's own solver on a real deblurring, against deepinv's result."""

import numpy as np
import pytest
import torch

from daep_prior import UNetDAE, load_dae, schedules

pytest.importorskip("scico", reason="pip install daep-prior[scico]")

import scico.numpy as snp
from scico import functional, linop, loss, optimize

from daep_scico import DAEPrior, restore

SIGMA = 2.55 / 255
SIZE = 48
MARGIN = 3


def psnr(x, truth):
    x, truth = (np.array(a)[MARGIN:-MARGIN, MARGIN:-MARGIN] for a in (x, truth))
    return -10 * np.log10(np.mean((np.clip(x, 0, 1) - truth) ** 2))


def padded(y):
    return snp.array(np.pad(np.array(y), ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge"))


@pytest.fixture(scope="module")
def scene():
    """A piece of the photograph of the README, (H, W, 3) in [0, 1]."""
    skimage = pytest.importorskip("skimage")
    data = pytest.importorskip("skimage.io").imread(f"{skimage.__path__[0]}/data/astronaut.png")
    return snp.array(data[100 : 100 + SIZE, 200 : 200 + SIZE].astype("float32") / 255)


@pytest.fixture(scope="module")
def kernel():
    profile = np.hanning(9)[1:-1]
    return (np.outer(profile, profile) / profile.sum() ** 2).astype("float32")


@pytest.fixture(scope="module")
def circular(kernel):
    return linop.CircularConvolve(snp.array(kernel[..., None]), (SIZE, SIZE, 3), h_center=(MARGIN, MARGIN, 0))


@pytest.fixture(scope="module")
def problem(scene, circular):
    A = linop.Crop(((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), circular.output_shape) @ circular
    noise = np.random.default_rng(0).standard_normal((SIZE - 2 * MARGIN, SIZE - 2 * MARGIN, 3), dtype="float32")
    return A, A(scene) + np.float32(SIGMA) * noise


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return UNetDAE(widths=(4, 8), blocks=1).fold()


def test_it_restores_as_deepinv_does(problem, scene, kernel):
    """Within 0.1 dB, from the same start."""
    import deepinv as dinv

    from daep_deepinv import DAEP

    A, y = problem
    physics = dinv.physics.Blur(filter=torch.from_numpy(kernel)[None, None], padding="valid")
    theirs = DAEP(SIGMA)(torch.from_numpy(np.array(y)).movedim(-1, 0)[None], physics)[0].movedim(0, -1).numpy()
    ours = restore(A, y, SIGMA, x0=padded(y))
    assert ours.shape == scene.shape and ours.dtype == np.float32
    assert psnr(ours, scene) == pytest.approx(psnr(theirs, scene), abs=0.1)
    assert psnr(ours, scene) > psnr(padded(y), scene) + 3


def test_scicos_own_solver_restores(scene, circular):
    """ADMM with the closed proximal step of a circular blur, and the prior by its proximal step."""
    noise = np.random.default_rng(0).standard_normal(scene.shape, dtype="float32")
    y = circular(scene) + np.float32(SIGMA) * noise
    width = 15 / 255
    weight = 2 * schedules.PAPER_GAMMA / width**2
    solver = optimize.ADMM(
        f=loss.SquaredL2Loss(y, circular, scale=1 / (2 * SIGMA**2)),
        g_list=[weight * DAEPrior(sigma=width, prox_iterations=1)],
        C_list=[linop.Identity(scene.shape)],
        rho_list=[weight],
        x0=y,
        maxiter=12,
        subproblem_solver=optimize.admm.CircularConvolveSolver(),
    )
    assert psnr(solver.solve(), scene) > psnr(y, scene) + 2


def test_another_data_term_and_start_are_used(problem, unet):
    A, y = problem
    ball = functional.L2BallIndicator(radius=1.0)
    found = restore(A, y, SIGMA, data=ball, denoiser=unet, iterations=2)
    assert float(snp.linalg.norm(found)) < 5
    usual = restore(A, y, SIGMA, denoiser=unet, iterations=2)
    assert not np.allclose(np.array(usual), np.array(restore(A, y, SIGMA, denoiser=unet, iterations=2, x0=padded(y))))


def test_a_schedule_of_ones_own_and_a_seed_are_followed(problem, unet):
    A, y = problem
    usual = np.array(restore(A, y, SIGMA, denoiser=unet, iterations=3))
    schedule = schedules.annealed(SIGMA, 3)
    assert np.array_equal(np.array(restore(A, y, SIGMA, denoiser=unet, schedule=schedule)), usual)
    assert not np.array_equal(np.array(restore(A, y, SIGMA, denoiser=unet, iterations=3, seed=1)), usual)
    assert np.array_equal(np.array(restore(A, np.array(y), SIGMA, denoiser=unet, iterations=3)), usual)  # of NumPy


def test_grey_images(unet):
    x = snp.array(np.random.default_rng(0).random((12, 10), dtype="float32"))
    found = restore(linop.Identity(x.shape), x, SIGMA, denoiser=unet, iterations=3)
    assert found.shape == (12, 10)
    assert float(snp.abs(found - x).mean()) < 0.2


def test_bad_input_is_refused_by_name_before_any_work(problem, unet):
    A, y = problem

    def never(x, sigma):
        raise AssertionError("the network was asked")

    cases = {
        "y: got": ((A, y[1:], SIGMA), {}),
        "finite": ((A, y * snp.nan, SIGMA), {}),
        "real": ((A, y.astype(snp.complex64), SIGMA), {}),
        "sigma": ((A, y, -1.0), {}),
        "shape": ((linop.Identity((9,)), snp.ones(9), SIGMA), {}),
        "schedule": ((A, y, SIGMA), {"iterations": 2, "schedule": schedules.annealed()}),
        "x0: got": ((A, y, SIGMA), {"x0": y}),
        "data: PoissonLoss": ((A, y, SIGMA), {"data": loss.PoissonLoss(y, A)}),
    }
    for message, (arguments, keywords) in cases.items():
        with pytest.raises(ValueError, match=message):
            restore(*arguments, denoiser=never, **keywords)
    for message, arguments, keywords in (
        ("A: got NoneType", (None, y, SIGMA), {}),
        ("data: got int", (A, y, SIGMA), {"data": 3}),
    ):
        with pytest.raises(TypeError, match=message):
            restore(*arguments, denoiser=never, **keywords)
    with pytest.raises(TypeError, match="sede"):
        restore(A, y, SIGMA, denoiser=unet, sede=1)


# -- presets ---------------------------------------------------------------------------------------------------------


def test_missing_pixels_are_filled_as_deepinv_fills_them(scene):
    import deepinv as dinv

    from daep_deepinv import DAEP

    mask = (np.random.default_rng(0).random((SIZE, SIZE, 1)) > 0.6).astype("float32").repeat(3, 2)
    A = linop.Diagonal(snp.array(mask))
    physics = dinv.physics.Inpainting((3, SIZE, SIZE), mask=torch.from_numpy(mask).permute(2, 0, 1))
    clean = torch.from_numpy(np.array(scene)).permute(2, 0, 1)[None]
    theirs = DAEP(0)(physics.A(clean), physics)[0].permute(1, 2, 0).numpy()
    ours = restore(A, A(scene), 0)
    assert psnr(ours, scene) == pytest.approx(psnr(theirs, scene), abs=0.3)
    assert np.allclose(mask * np.array(ours), mask * np.array(scene), atol=2 / 255)


def test_a_noisy_image_takes_one_denoiser_evaluation(scene):
    noise = np.random.default_rng(0).standard_normal(scene.shape, dtype="float32")
    y = scene + np.float32(0.1) * noise
    found = restore(linop.Identity(scene.shape), y, 0.1)
    expected = load_dae("dae")(torch.from_numpy(np.array(y)).permute(2, 0, 1)[None], 0.1).clamp(0, 1)
    assert np.allclose(found, expected[0].permute(1, 2, 0), atol=1e-5)


@pytest.mark.parametrize("preset", ["fast", "best", "paper"])
def test_every_preset_restores(preset, problem, scene):
    A, y = problem
    found = restore(A, y, SIGMA, preset=preset, x0=padded(y), iterations=40 if preset == "paper" else None)
    assert psnr(found, scene) > psnr(padded(y), scene) + (1 if preset == "paper" else 3)


def test_a_preset_is_checked_before_any_work(problem):
    A, y = problem
    with pytest.raises(ValueError, match="preset: got 'slow'"):
        restore(A, y, SIGMA, preset="slow")
    with pytest.raises(ValueError, match="preset, schedule"):
        restore(A, y, SIGMA, preset="paper", schedule=schedules.annealed())
