"""Least squares with a weight for each measured value."""

import deepinv as dinv
import pytest
import torch
from deepinv.utils import TensorList

from daep_deepinv import DAEP
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.data_terms.weighted import WeightedL2, precision_level
from daep_deepinv.noise.variance import QuadraticVariance

P = dinv.physics
KERNEL = P.functional.gaussian_blur(sigma=(1.0, 2.0))


def mask() -> torch.Tensor:
    return (torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(3)) > 0.4).float()


def operators() -> dict:
    size = (1, 32, 32)
    return {
        "denoising": P.Denoising(),
        "inpainting": P.Inpainting(size, mask=mask()),
        "circular blur": P.BlurFFT(size, KERNEL),
        "valid blur": P.Blur(KERNEL, padding="valid"),
        "reflecting blur": P.Blur(KERNEL, padding="reflect"),
        "downsampling": P.Downsampling(size, filter=KERNEL, factor=2, padding="circular"),
        "tomography": P.Tomography(10, 32, normalize=False),
        "single pixel": P.SinglePixelCamera(300, size, fast=True),
        "stacked": P.stack(P.Denoising(), P.Blur(KERNEL, padding="valid").double()),
    }


def case(name):
    """Physics with an exact proximal step, measurement and variances; a batch of 2, float64 where deepinv can."""
    dtype = torch.float32 if name == "tomography" else torch.float64
    physics = operators()[name]
    physics = physics if dtype == torch.float32 else physics.double()
    physics.tol, physics.max_iter = (1e-5 if dtype == torch.float32 else 1e-10), 500
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 1, 32, 32, generator=generator, dtype=dtype)
    y = physics.A(x)
    if isinstance(y, TensorList):
        return physics, x, y, TensorList([0.01 + torch.rand(part.shape, dtype=torch.float64) for part in y])
    return physics, x, y, 0.01 + torch.rand(y.shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize("name", list(operators()))
def test_the_proximal_step_is_the_minimiser(name) -> None:
    physics, x, y, variance = case(name)
    data, start = WeightedL2(variance), torch.rand_like(x)
    moved = data.prox(start, y, physics, gamma=0.3)
    optimality = moved - start + 0.3 * data.grad(moved, y, physics)
    exact = 5e-3 if x.dtype == torch.float32 else 1e-6
    assert float(optimality.abs().max()) < exact
    alone = WeightedL2(TensorList([v[1:] for v in variance]) if isinstance(variance, TensorList) else variance[1:])
    one = TensorList([part[1:] for part in y]) if isinstance(y, TensorList) else y[1:]
    assert torch.allclose(alone.prox(start[1:], one, physics, gamma=0.3), moved[1:], atol=exact)


@pytest.mark.parametrize("name", ["valid blur", "tomography", "stacked"])
def test_the_gradient_is_that_of_the_value(name) -> None:
    physics, x, y, variance = case(name)
    data = WeightedL2(variance)
    point = torch.rand_like(x).requires_grad_()
    value = data.fn(point, y, physics)
    assert value.shape == (2,)
    (gradient,) = torch.autograd.grad(value.sum(), point)
    exact = 1e-3 if x.dtype == torch.float32 else 1e-6
    assert torch.allclose(gradient, data.grad(point.detach(), y, physics), rtol=exact, atol=exact)


def test_equal_variances_are_ordinary_least_squares() -> None:
    physics, x, y, _ = case("circular blur")
    weighted, plain = WeightedL2(torch.full_like(y, 0.2**2)), PerImageL2(0.2)
    assert precision_level(torch.full_like(y, 0.2**2)) == pytest.approx(0.2)
    assert torch.allclose(weighted.fn(0 * x, y, physics), plain.fn(0 * x, y, physics))
    for function in ("grad", "prox"):
        values = [getattr(data, function)(torch.ones_like(x), y, physics) for data in (weighted, plain)]
        assert torch.allclose(*values, atol=1e-6)


@pytest.mark.parametrize("name", ["denoising", "valid blur"])
def test_values_that_are_unknown_do_not_count(name) -> None:
    physics, x, y, variance = case(name)
    known = torch.rand(y.shape, generator=torch.Generator().manual_seed(1)) > 0.3
    other = torch.where(known, y, 100.0)
    data = WeightedL2(torch.where(known, variance, torch.inf))
    results = [data.prox(0 * x, z, physics) for z in (y, other)]
    assert torch.allclose(*results, atol=1e-6)


@pytest.mark.parametrize("name", ["denoising", "valid blur"])
def test_with_a_law_the_steps_end_where_the_poisson_likelihood_has_no_gradient(name) -> None:
    physics, x, _, _ = case(name)
    gain, gamma, x = 0.02, 0.01, 0.2 + 0.6 * x
    y = physics.A(x)
    law, anchor = QuadraticVariance(0.0, gain), x + 0.05
    data = WeightedL2(law.variance(y), law=law)
    current = anchor
    for _ in range(60):  # the proximal step of the likelihood, by its own weights at each iterate
        data.weights = data._weights_of(law.variance(physics.A(current)))
        data.law = None
        current = data.prox(anchor, y, physics, gamma=gamma)
    mean = physics.A(current)
    likelihood = physics.A_adjoint((1 - y / mean) / gain)
    assert float((current - anchor + gamma * likelihood).abs().max()) < 1e-5


def test_a_law_sets_the_weights_of_each_step() -> None:
    physics, x, y, _ = case("denoising")
    law = QuadraticVariance(0.01, 0.1)
    data = WeightedL2(torch.ones_like(y), law=law)
    data.prox(x, y, physics)
    assert torch.allclose(data.weights, 1 / law.variance(x))


def test_with_a_dual_variable_the_variances_are_those_of_the_image(photograph, shipped) -> None:
    """The steps start from points that are no images. So the stated noise is no worse than its root mean square."""
    x = photograph[..., 40:88, 40:88]
    kept = (torch.rand(1, 48, 48, generator=torch.Generator().manual_seed(3)) > 0.5).float()
    physics = P.Inpainting(x.shape[1:], mask=kept, noise_model=P.PoissonNoise(0.05))
    torch.manual_seed(0)
    y = physics(x)
    level = float((y - physics.A(x)).square().sum() / (3 * kept.sum())) ** 0.5
    stated, one = (
        float((DAEP(sigma, shipped("dae"), "annealed")(y, physics) - x).square().mean()) for sigma in (None, level)
    )
    assert stated < 1.02 * one


def test_variances_of_zero_are_raised_and_impossible_ones_refused() -> None:
    physics, x, y, variance = case("denoising")
    variance[..., 0] = 0
    assert bool(WeightedL2(variance).prox(x, y, physics).isfinite().all())
    for bad in (-variance, 0 * variance, variance * torch.nan, variance + torch.inf):
        with pytest.raises(ValueError, match="variance: it is negative or NaN"):
            WeightedL2(bad)
