"""Measurements of which some values are unknown or clipped."""

import warnings

import deepinv as dinv
import pytest
import torch
from deepinv.physics.functional.blur import gaussian_blur

from daep_deepinv import DAEP
from daep_deepinv.data_terms.partial import PartialL2
from daep_deepinv.noise.stated import stated_noise
from daep_deepinv.used_values import UsedValues, used_values

SIZE = (1, 3, 32, 32)


@pytest.fixture
def blur():
    return dinv.physics.Blur(gaussian_blur(sigma=(1.2, 1.2)), padding="circular", max_iter=200, tol=1e-6)


@pytest.fixture
def lamps(photograph, blur):
    """A photograph with a lamp of 4 times white, its measurement, and where the lamp has no influence."""
    x = 0.6 * photograph[..., 40:72, 40:72]
    x[..., 12:17, 12:17] = 4
    y = blur.A(x)
    y = y + 0.01 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    away = torch.ones(32, 32, dtype=torch.bool)
    away[6:23, 6:23] = False
    return x, (255 * y.clamp(0, 1)).round() / 255, away


def used(y, physics, saturation="found", noisy=True):
    return used_values(y, physics, y, saturation, None, noisy=noisy)


# -- what is found ---------------------------------------------------------------------------------------------------


def test_a_plateau_of_noisy_values_is_saturation(lamps, blur):
    _, y, _ = lamps
    assert torch.equal(used(y, blur).at_least, y == 1)
    assert used(y, blur).at_most is None


def test_the_black_level_is_found(lamps, blur):
    _, y, _ = lamps
    assert torch.equal(used((y - 0.2).clamp_min(0), blur).at_most, y <= 0.2)


@pytest.mark.parametrize("case", ["no plateau", "noise-free", "none wanted"])
def test_no_value_is_clipped(case, lamps, blur):
    _, y, _ = lamps
    if case == "no plateau":
        y = y + 0.01 * torch.rand(y.shape, generator=torch.Generator().manual_seed(1))
    saturation = None if case == "none wanted" else "found"
    assert used(y, blur, saturation, noisy=case != "noise-free").of_all


def test_missing_pixels_are_no_black_level(photograph):
    x = photograph[..., 40:72, 40:72]
    mask = (torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    physics = dinv.physics.Inpainting((3, 32, 32), mask=mask)
    y = physics.A(x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    assert used(y, physics).at_most is None


def test_a_given_saturation_is_used(lamps, blur):
    _, y, _ = lamps
    assert torch.equal(used(y, blur, 0.9).at_least, y >= 0.9)


# -- what is done with it --------------------------------------------------------------------------------------------


def test_the_prox_is_that_of_least_squares_with_one_sided_values(lamps, blur):
    """At the result, the gradient of the objective vanishes, with the clipped values that are not explained."""
    x, y, _ = lamps
    term = PartialL2(torch.full_like(y, 0.01), UsedValues(at_least=y == 1))
    moved = term.prox(x, y, blur, gamma=0.5)
    gradient = moved - x + 0.5 * term.grad(moved, y, blur)
    assert float(gradient.abs().max()) < 2e-3 * float((moved - x).abs().max())


def test_unknown_values_do_not_count(lamps, blur):
    x, y, _ = lamps
    unknown = torch.rand(y.shape, generator=torch.Generator().manual_seed(0)) < 0.3
    term = PartialL2(torch.full_like(y, 0.01), UsedValues(unknown))
    other = torch.where(unknown, 7.0, y)
    assert torch.allclose(term.prox(x, y, blur, gamma=0.5), term.prox(x, other, blur, gamma=0.5), atol=1e-5)
    assert torch.allclose(term.squared_residual(x, y, blur), term.squared_residual(x, other, blur))


@pytest.mark.parametrize("padding", ["valid", "circular"])
def test_the_step_by_fourier_transforms_is_the_general_one(padding, photograph, monkeypatch):
    """Two images, one of them with clipped and unknown values, and kernels that are not symmetric."""
    kernel = torch.rand(1, 1, 5, 4, generator=torch.Generator().manual_seed(0))
    physics = dinv.physics.Blur(kernel / kernel.sum(), padding=padding, max_iter=300, tol=1e-6)
    x = torch.cat([photograph[..., 40:72, 40:72], photograph[..., 8:40, 8:40]])
    y = (1.3 * physics.A(x)).clamp_max(1)
    unknown = torch.rand(y.shape, generator=torch.Generator().manual_seed(1)) < 0.1
    unknown[1] = False

    def step():
        return PartialL2(torch.full_like(y, 1e-3), UsedValues(unknown, at_least=y == 1)).prox(x, y, physics, gamma=0.1)

    found = step()
    for name in ("partial", "least_squares"):
        monkeypatch.setattr(f"daep_deepinv.data_terms.{name}.FourierBlur.handles", lambda *_: False)
    assert float((found - x).abs().max()) > 0.05
    torch.testing.assert_close(found, step(), atol=1e-4, rtol=0)


def test_a_lamp_does_not_spoil_the_photograph(photograph, shipped):
    r = torch.arange(-3, 4)
    disc = ((r[:, None] ** 2 + r[None] ** 2) <= 9).float()
    physics = dinv.physics.Blur((disc / disc.sum())[None, None], padding="circular")
    x = 0.6 * photograph[..., 40:104, 40:104]
    x[..., 30:36, 30:36] = 3
    y = physics.A(x)
    y = y + 0.01 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    y = (255 * y.clamp(0, 1)).round() / 255
    away = torch.ones(64, 64, dtype=torch.bool)
    away[22:44, 22:44] = False
    error = {}
    for saturation in ("found", None):
        restored = DAEP(0.01, shipped("dae"), "fast", saturation=saturation)(y, physics)
        error[saturation] = float((restored - x)[..., away].square().mean().sqrt())
    assert error["found"] < 0.5 * error[None]


def seen(x, physics):
    """A measurement of 8 bits with noise."""
    y = physics.A(x)
    y = y + 0.01 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    return (255 * y.clamp(0, 1)).round() / 255


@pytest.fixture
def lit(photograph):
    """Three lamps near the border of a ``valid`` blur: image without and with them, physics, and where none is near."""
    rows, cols = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disk = ((rows[:9, :9] - 4) ** 2 + (cols[:9, :9] - 4) ** 2 <= 16).float()
    physics = dinv.physics.Blur((disk / disk.sum())[None, None], padding="valid")
    x, away = 0.6 * photograph[..., 20:84, 10:74], torch.ones(64, 64, dtype=torch.bool)
    away[:8], away[-8:], away[:, :8], away[:, -8:] = False, False, False, False
    lamps = x.clone()
    for row, col in ((16, 20), (40, 48), (48, 14)):
        distance = ((rows - row) ** 2 + (cols - col) ** 2).sqrt()
        lamps[..., distance <= 3] = 3.0
        away &= distance > 11
    return x, lamps, physics, away


def test_lamps_near_the_border_do_no_harm_elsewhere(lit, shipped):
    x, lamps, physics, away = lit
    model = DAEP(0.01, shipped("dae"), "fast")
    without, found = (model(seen(image, physics), physics) for image in (x, lamps))
    errors = [float((image - x)[..., away].square().mean().sqrt()) for image in (without, found)]
    assert errors[1] < 1.2 * errors[0]
    assert model.plans[0].start.endswith("brighter where saturated")


def test_the_light_of_lamps_does_not_depend_on_the_batch(lit, unet):
    x, lamps, physics, _ = lit
    both = torch.cat([seen(lamps, physics), seen(x, physics)])
    model = DAEP(0.01, unet, "fast")
    together = model(both, physics)
    assert [p.start for p in model.plans][1] == "the measurement, padded by replication"
    for i in (0, 1):
        assert torch.allclose(together[i : i + 1], model(both[i : i + 1], physics), atol=1e-5)


def test_the_plan_says_what_is_saturated(lamps, blur, unet):
    _, y, _ = lamps
    plan = DAEP(0.01, unet).plan(y, blur)[0]
    assert "% saturated" in plan.data_term and plan.range.bounds == (0, None)


def test_impulses_are_unknown_and_their_pixels_filled(photograph, shipped):
    x = 0.1 + 0.8 * photograph[..., 40:72, 40:72]
    physics = dinv.physics.Denoising(dinv.physics.SaltPepperNoise(0.1, 0.1))
    torch.manual_seed(0)
    y = physics(x)
    model = DAEP(denoiser=shipped("dae"), preset="fast")
    assert dinv.metric.PSNR()(model(y, physics), x) > 25
    assert "unknown" in model.plans[0].data_term


def test_impulses_beside_missing_pixels_are_found(photograph):
    """A missing pixel has the value of a black impulse, and is no neighbour of it."""
    x = 0.1 + 0.8 * photograph[..., 40:72, 40:72]
    mask = (torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    physics = dinv.physics.Inpainting((3, 32, 32), mask=mask, noise_model=dinv.physics.SaltPepperNoise(0.05, 0.05))
    torch.manual_seed(0)
    y = physics(x)
    assumed = stated_noise(physics, y)
    known = assumed.known(y, (physics.mask != 0).expand_as(y))
    assert torch.equal(known, (mask > 0) & (y != 0) & (y != 1))


@pytest.mark.parametrize("sigma", [None, 0.01, "estimate"])
def test_impulses_beside_a_mask_as_functions_are_found(photograph, sigma):
    """Values that do not depend on the image are no impulses, and they hide none."""
    x = 0.1 + 0.8 * photograph[..., 32:96, 32:96]
    kept = (torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    physics = dinv.physics.LinearPhysics(A=lambda x, **_: kept * x, A_adjoint=lambda y, **_: kept * y)
    torch.manual_seed(0)
    salt = dinv.physics.SaltPepperNoise(0.05, 0.05)(physics.A(x)) * kept
    model = DAEP(sigma, preset="fast", check_noise=sigma != "estimate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert "impulses (" in str(model.plan(salt, physics))
        assert "impulses (" not in str(model.plan(physics.A(x), physics))
