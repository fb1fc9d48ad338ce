"""``restore`` and pyproximal's own solver on a real deblurring, against deepinv's result."""

import numpy as np
import pytest
import torch

from daep_prior import UNetDAE, load_dae, schedules

pyproximal = pytest.importorskip("pyproximal", reason="pip install daep-prior[pyproximal]")
pylops = pytest.importorskip("pylops")

from daep_pyproximal import DAEPrior, restore  # noqa: E402

SIGMA = 2.55 / 255
SIZE = 48


def psnr(x, truth, margin=3):
    x, truth = (a.reshape(3, *truth.shape[-2:])[:, margin:-margin, margin:-margin] for a in (x, truth))
    return -10 * np.log10(np.mean((np.clip(x, 0, 1) - truth) ** 2))


def valid_blur(dims, kernel):
    margin = kernel.shape[0] // 2
    centre, dtype = (margin, margin), kernel.dtype.name
    blur = pylops.signalprocessing.Convolve2D(dims, kernel, offset=centre, axes=(-2, -1), dtype=dtype)
    inner = (dims[0], dims[1] - 2 * margin, dims[2] - 2 * margin)
    return pylops.Pad(inner, ((0, 0), (margin, margin), (margin, margin)), dtype=dtype).H @ blur


def padded(y, mode="edge"):
    return np.pad(y.reshape(3, SIZE - 6, SIZE - 6), ((0, 0), (3, 3), (3, 3)), mode=mode)


@pytest.fixture(scope="module")
def scene():
    """A piece of the photograph of the README, (3, H, W) in [0, 1]."""
    skimage = pytest.importorskip("skimage")
    data = pytest.importorskip("skimage.io").imread(f"{skimage.__path__[0]}/data/astronaut.png")
    return np.ascontiguousarray(data[100 : 100 + SIZE, 200 : 200 + SIZE].transpose(2, 0, 1)).astype("float32") / 255


@pytest.fixture(scope="module")
def kernel():
    profile = np.hanning(9)[1:-1]
    return (np.outer(profile, profile) / profile.sum() ** 2).astype("float32")


@pytest.fixture(scope="module")
def problem(scene, kernel):
    Op = valid_blur(scene.shape, kernel)
    noise = np.random.default_rng(0).standard_normal(Op.shape[0], dtype="float32")
    return Op, Op @ scene.ravel() + np.float32(SIGMA) * noise


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return UNetDAE(widths=(4, 8), blocks=1).fold()


def test_it_restores_as_deepinv_does(problem, scene, kernel):
    """Within 0.1 dB, from the same start."""
    import deepinv as dinv

    from daep_deepinv import DAEP

    Op, y = problem
    physics = dinv.physics.Blur(filter=torch.from_numpy(kernel)[None, None], padding="valid")
    theirs = DAEP(SIGMA)(torch.from_numpy(y.reshape(1, 3, SIZE - 6, SIZE - 6)), physics).numpy()
    ours = restore(Op, y, SIGMA, x0=padded(y))
    assert ours.shape == (scene.size,) and ours.dtype == np.float32
    assert psnr(ours, scene) == pytest.approx(psnr(theirs, scene), abs=0.1)
    assert psnr(ours, scene) > psnr(padded(y), scene) + 3


def test_pyproximals_own_solver_restores(problem, scene):
    """FISTA on ``R + (1/lambda) data``, with the paper's ``lambda = 2 gamma / s^2``."""
    Op, y = problem
    width = 15 / 255
    data = pyproximal.L2(Op, y, sigma=1 / SIGMA**2, niter=30, solver="cg")
    solve = pyproximal.optimization.primal.ProximalGradient
    epsg = width**2 / (2 * schedules.PAPER_GAMMA)
    start = padded(y).ravel()
    found = solve(DAEPrior(Op.dims, sigma=width), data, start, epsg=epsg, tau=0.5, niter=30, acceleration="fista")
    assert psnr(found, scene) > psnr(padded(y), scene) + 2


def test_another_data_term_and_start_are_used(problem, unet):
    Op, y = problem
    box = pyproximal.Box(0.4, 0.6)
    found = restore(Op, y, SIGMA, data=box, x0=np.full(Op.shape[1], 0.9), denoiser=unet, iterations=2)
    assert found.min() > 0.3 and found.max() < 0.7
    usual = restore(Op, y, SIGMA, denoiser=unet, iterations=2)
    assert not np.allclose(usual, restore(Op, y, SIGMA, denoiser=unet, iterations=2, x0=np.zeros(Op.shape[1])))


def test_a_schedule_of_ones_own_and_a_seed_are_followed(problem, unet):
    Op, y = problem
    usual = restore(Op, y, SIGMA, denoiser=unet, iterations=3)
    assert np.array_equal(restore(Op, y, SIGMA, denoiser=unet, schedule=schedules.annealed(SIGMA, 3)), usual)
    assert not np.array_equal(restore(Op, y, SIGMA, denoiser=unet, iterations=3, seed=1), usual)


def test_grey_images_and_double_precision(unet):
    Op = pylops.Diagonal(np.full(10, 0.5), dims=(12, 10))
    x = np.random.default_rng(0).random((12, 10))
    found = restore(Op, x / 2, SIGMA, denoiser=unet, iterations=3)
    assert found.shape == (120,) and found.dtype == np.float64
    assert np.abs(found - x.ravel()).mean() < 0.2


def test_bad_input_is_refused_by_name_before_any_work(problem, unet):
    Op, y = problem

    def never(x, sigma):
        raise AssertionError("the network was asked")

    cases = {
        "y: got": ((Op, y[1:], SIGMA), {}),
        "finite": ((Op, y * np.nan, SIGMA), {}),
        "real": ((Op, y.astype("complex64"), SIGMA), {}),
        "sigma": ((Op, y, -1.0), {}),
        "shape": ((pylops.Identity(y.size), y, SIGMA), {}),
        "schedule": ((Op, y, SIGMA), {"iterations": 2, "schedule": schedules.annealed()}),
        "x0: got": ((Op, y, SIGMA), {"x0": np.zeros(7)}),
    }
    for message, (arguments, keywords) in cases.items():
        with pytest.raises(ValueError, match=message):
            restore(*arguments, denoiser=never, **keywords)
    for message, arguments, keywords in (
        ("Op: got ndarray", (y, Op, SIGMA), {}),
        ("data: got int", (Op, y, SIGMA), {"data": 3}),
    ):
        with pytest.raises(TypeError, match=message):
            restore(*arguments, denoiser=never, **keywords)
    with pytest.raises(TypeError, match="sede"):
        restore(Op, y, SIGMA, denoiser=unet, sede=1)


# -- presets ---------------------------------------------------------------------------------------------------------


def test_missing_pixels_are_filled_as_deepinv_fills_them(scene):
    import deepinv as dinv

    from daep_deepinv import DAEP

    mask = np.random.default_rng(0).random((1, SIZE, SIZE)).repeat(3, 0) > 0.6
    with_dims = pylops.Pad(scene.shape, ((0, 0),) * 3, dtype="float32")
    Op = pylops.Restriction(scene.size, np.flatnonzero(mask), dtype="float32") @ with_dims
    physics = dinv.physics.Inpainting(scene.shape, mask=torch.from_numpy(mask))
    theirs = DAEP(0)(physics.A(torch.from_numpy(scene)[None]), physics).numpy()
    ours = restore(Op, scene[mask], 0)
    assert psnr(ours, scene) == pytest.approx(psnr(theirs, scene), abs=0.3)
    assert np.allclose(ours.reshape(scene.shape)[mask], scene[mask], atol=2 / 255)


@pytest.mark.parametrize("preset", ["annealed", "fast"])
def test_a_noisy_image_takes_one_denoiser_evaluation(preset, scene):
    noise = np.random.default_rng(0).standard_normal(scene.shape, dtype="float32")
    y = scene + np.float32(0.1) * noise
    Op = pylops.Identity(scene.size, dtype="float32")
    Op.dims = scene.shape
    found = restore(Op, y, 0.1, preset=preset)
    expected = load_dae("dae")(torch.from_numpy(y)[None], 0.1).clamp(0, 1).numpy()
    assert np.allclose(found, expected.ravel(), atol=1e-5)


@pytest.mark.parametrize("preset", ["fast", "best", "paper"])
def test_every_preset_restores(preset, problem, scene):
    Op, y = problem
    found = restore(Op, y, SIGMA, preset=preset, x0=padded(y), iterations=40 if preset == "paper" else None)
    assert psnr(found, scene) > psnr(padded(y), scene) + (1 if preset == "paper" else 3)


def test_a_preset_is_checked_before_any_work(problem):
    Op, y = problem
    with pytest.raises(ValueError, match="preset: got 'slow'"):
        restore(Op, y, SIGMA, preset="slow")
    with pytest.raises(ValueError, match="preset, schedule"):
        restore(Op, y, SIGMA, preset="paper", schedule=schedules.annealed())
