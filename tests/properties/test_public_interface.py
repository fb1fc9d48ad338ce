"""What must hold for every shape, type, kernel, scale, mask and schedule that the public interface accepts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from daep_deepinv import DAEP, BicubicDownsampling, DAEPrior, as_filter, degradation
from daep_prior import ConvDAE, UNetDAE, energy, energy_gradient, schedules
from daep_prior.schedules.presets import SWEEPS

settings.register_profile(
    "ours", deadline=None, max_examples=12, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ours")

torch.manual_seed(0)
NETWORKS = {
    "one level": ConvDAE(depth=3, width=4).fold(),
    "conditional": ConvDAE(sigma=None, sigma_range=(0.0, 0.3), depth=3, width=4).fold(),
    "unet": UNetDAE(widths=(4, 8), blocks=1).fold(),
}
networks = st.sampled_from(list(NETWORKS))
sides = st.integers(1, 19)
shapes = st.tuples(st.integers(1, 3), st.sampled_from([1, 3]), sides, sides)
seeds = st.integers(0, 2**31)
levels = st.floats(1e-3, 0.5)


def images(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def inner(a: Tensor, b: Tensor) -> float:
    return float((a.double() * b.double()).sum())


#: torch 2.5 cannot pad in half precision on a processor.
TYPES = [torch.bfloat16, torch.float32, torch.float64]
if not torch.__version__.startswith("2.5."):
    TYPES.append(torch.float16)


# -- networks and prior ------------------------------------------------------------------------------------------------


@given(networks, shapes, seeds, levels, st.sampled_from(TYPES))
def test_a_network_keeps_shape_and_type_whatever_they_are(name, shape, seed, level, dtype):
    x = images(shape, seed, dtype)
    before = x.clone()
    with torch.no_grad():
        out = NETWORKS[name](x, level)
    assert out.shape == x.shape and out.dtype == dtype
    assert bool(out.isfinite().all())
    assert torch.equal(x, before)


@given(networks, shapes, seeds, levels)
def test_an_image_is_denoised_alike_alone_and_in_a_batch(name, shape, seed, level):
    x = images(shape, seed)
    with torch.no_grad():
        together = NETWORKS[name](x, torch.full((shape[0],), level, dtype=torch.float64))
        alone = torch.cat([NETWORKS[name](one[None], level) for one in x])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)


@given(networks, shapes, seeds, levels, st.sampled_from(["fixed", "none"]))
def test_the_gradient_is_that_of_the_value_in_any_direction(name, shape, seed, level, noise):
    prior = DAEPrior(NETWORKS[name], noise=noise, seed=seed)
    x, direction = images(shape, seed), images(shape, seed + 1) - 0.5
    step = 1e-6
    ahead, behind = (prior(x + sign * step * direction, level) for sign in (1, -1))
    slope = ((ahead - behind) / (2 * step)).sum()
    gradient = prior.grad(x, level)
    assert gradient.shape == x.shape and gradient.dtype == x.dtype
    # ReLUs have kinks, which a difference may straddle
    assert inner(gradient, direction) == pytest.approx(float(slope), rel=1e-3, abs=1e-5)


@given(networks, shapes, seeds, levels)
def test_the_energy_is_one_number_an_image_not_negative_and_its_own(name, shape, seed, level):
    prior = DAEPrior(NETWORKS[name], noise="fixed")
    x = images(shape, seed)
    values = prior(x, level)
    assert values.shape == (shape[0],) and bool((values >= 0).all())
    alone = torch.cat([prior(one[None], level) for one in x])
    torch.testing.assert_close(values, alone)


@given(networks, shapes, seeds, levels)
def test_one_grey_image_has_the_energy_and_a_third_of_the_slope_of_three_equal_channels(name, shape, seed, level):
    def denoise(z: Tensor, sigma: float | Tensor) -> Tensor:
        return NETWORKS[name](z, sigma)

    x = images((shape[0], 1, *shape[2:]), seed)
    wide = x.expand(-1, 3, -1, -1)
    torch.testing.assert_close(energy(denoise, x, level, replicas=3), energy(denoise, wide, level) / 3)
    grey, colour = energy_gradient(denoise, x, level, replicas=3), energy_gradient(denoise, wide, level)
    torch.testing.assert_close(grey, colour.mean(1, keepdim=True))


@given(
    st.one_of(
        st.tuples(st.integers(0, 3), st.integers(1, 9)).map(lambda s: (s[1],) * s[0]),  # too few dimensions
        st.tuples(st.just(1), st.sampled_from([0, 2, 4, 5]), sides, sides),
    )
)
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="expected images"):
        NETWORKS["one level"](torch.zeros(shape), 0.1)


@given(st.one_of(st.floats(max_value=-1e-9), st.sampled_from([float("nan"), float("inf")])))
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match="sigma: got"):
        NETWORKS["unet"](torch.zeros(1, 3, 4, 4), level)


# -- physics -----------------------------------------------------------------------------------------------------------

kernels = st.tuples(st.integers(1, 7), st.integers(1, 7), seeds).map(
    lambda k: np.random.default_rng(k[2]).uniform(0.01, 1, k[:2])
)


@given(kernels)
def test_a_filter_sums_to_one_and_keeps_the_kernels_form(kernel):
    filter = as_filter(kernel)
    assert filter.shape == (1, 1, *kernel.shape) and filter.dtype == torch.float32
    assert float(filter.sum()) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(filter[0, 0], kernel / kernel.sum(), rtol=1e-5)


@st.composite
def degradations(draw):
    """A physics, and the shape of the images it takes."""
    channels, factor = draw(st.sampled_from([1, 3])), draw(st.integers(1, 3))
    kernel = draw(st.one_of(st.none(), kernels))
    padding = draw(st.sampled_from(["valid", "circular"])) if kernel is not None else "valid"
    downsampling = draw(st.sampled_from(["bicubic", "decimate"]))
    size = [factor * draw(st.integers(4, 7)) for _ in range(2)]
    if kernel is not None:
        size = [max(n, k) for n, k in zip(size, kernel.shape, strict=True)]
        size = [n + -(n - (k - 1) * (padding == "valid")) % factor for n, k in zip(size, kernel.shape, strict=True)]
    shape = (channels, *size)
    return degradation(kernel, factor, padding=padding, downsampling=downsampling, img_size=shape), shape


@given(degradations(), st.integers(1, 2), seeds)
def test_every_degradation_is_linear_and_its_adjoint_is_one(made, batch, seed):
    physics, shape = made
    x, other = (images((batch, *shape), seed + i, torch.float32) for i in (0, 1))
    y = physics.A(x)
    combined = physics.A(2 * x - 3 * other)
    torch.testing.assert_close(combined, 2 * y - 3 * physics.A(other), atol=1e-4, rtol=1e-4)
    v = images(tuple(y.shape), seed + 2, torch.float32)
    scale = float(y.norm() * v.norm()) + float(x.norm() * physics.A_adjoint(v).norm())
    assert inner(y, v) == pytest.approx(inner(x, physics.A_adjoint(v)), abs=1e-5 * scale)
    assert physics.A_adjoint(v).shape == x.shape


@given(st.integers(2, 4), st.integers(2, 6), st.integers(2, 6), seeds)
def test_resampling_keeps_constants_and_its_pseudo_inverse_is_exact(factor, height, width, seed):
    physics = BicubicDownsampling((1, factor * height, factor * width), factor)
    grey = torch.full((1, 1, factor * height, factor * width), 0.37)
    torch.testing.assert_close(physics.A(grey), torch.full((1, 1, height, width), 0.37), atol=1e-4, rtol=0)
    y = images((1, 1, height, width), seed, torch.float32)
    torch.testing.assert_close(physics.A(physics.A_dagger(y)), y, atol=2e-3, rtol=0)


@given(
    degradations(),
    networks,
    st.integers(1, 2),
    st.integers(1, 2),
    st.floats(0, 0.3),
    st.sampled_from(["annealed", "paper"]),
    seeds,
)
def test_a_restoration_is_a_finite_image_and_the_same_alone(made, name, batch, iterations, sigma, preset, seed):
    physics, shape = made
    y = physics.A(images((batch, *shape), seed, torch.float32))
    before = y.clone()
    model = DAEP(sigma=sigma, denoiser=NETWORKS[name], preset=preset, max_iter=iterations)
    x = model(y, physics)
    assert x.shape[:2] == y.shape[:2] and physics.A(x).shape == y.shape
    assert bool(x.isfinite().all())
    for plan, image in zip(model.plans, x, strict=True):
        low, high = plan.range.bounds
        assert (low is None or float(image.min()) >= low) and (high is None or float(image.max()) <= high)
    assert torch.equal(y, before)
    # a batch's conjugate gradients round another way, which bf16 makes large
    largest = max(1.0, float(x[:1].abs().max()))
    torch.testing.assert_close(x[:1], model(y[:1], physics), atol=2e-2 * largest, rtol=0)


# -- schedules ---------------------------------------------------------------------------------------------------------


@given(st.floats(0, 0.5), st.integers(1, 60), st.floats(0.01, 0.3))
def test_every_schedule_is_valid(sigma, iterations, width):
    for schedule in (
        schedules.annealed(sigma, iterations),
        schedules.fast(sigma, iterations),
        schedules.best(sigma, iterations),
        schedules.paper(sigma, width, iterations),
        schedules.paper_sr(sigma, 3, width, iterations),
        schedules.fixed_width(width, iterations),
    ):
        assert len(schedule) == iterations
        assert replace(schedule) == schedule  # every value passes the checks again
        # mean-shift steps come first, of the annealed presets twice; in each phase the kernel narrows
        assert list(schedule.jacobian) == sorted(schedule.jacobian)
        sweeps = SWEEPS if schedule == schedules.best(sigma, iterations) else 1
        descents = 2 if schedule in (schedules.annealed(sigma, iterations), schedules.best(sigma, iterations)) else 1
        for phase, starts in ((0, descents), (1, sweeps)):
            widths = [w for w, kind in zip(schedule.kernel_width, schedule.jacobian, strict=True) if kind == phase]
            assert sum(after > before for before, after in itertools.pairwise(widths)) < starts
        assert schedule.final_width is None or schedule.final_width < schedule.kernel_width[-1]


@given(st.floats(0, 0.5), st.floats(0, 0.5))
def test_more_noise_never_means_a_stronger_first_prior(one, other):
    low, high = sorted((one, other))
    for preset in (schedules.annealed, schedules.fast, schedules.best):
        assert preset(low).prior_weight[0] >= preset(high).prior_weight[0] - 1e-9


columns = ["kernel_width", "prior_weight", "data_weight", "step", "momentum", "average"]


@given(st.sampled_from(columns), st.sampled_from([-0.1, float("nan"), float("inf")]), st.integers(0, 4))
def test_a_schedule_with_one_impossible_value_is_refused(column, value, place):
    good = schedules.annealed(0.02, 5)
    values = list(getattr(good, column))
    values[place] = value
    with pytest.raises(ValueError, match=column):
        replace(good, **{column: tuple(values)})
