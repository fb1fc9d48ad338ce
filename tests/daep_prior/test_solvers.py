"""The steps of the solvers against the recursions written in textbooks."""

import pytest
import torch

from daep_prior.images import mirrored
from daep_prior.solvers import MomentumState, heavy_ball_step, proximal_momentum_step, running_mean


def textbook(x, gradients, step, momentum, bounds):
    """``v <- momentum v - step g``, ``x <- clip(x + v)``, the velocity kept as itself."""
    v = torch.zeros_like(x)
    path = []
    for gradient in gradients:
        v = momentum * v - step * gradient
        x = x + v
        if bounds is not None:
            x = x.clamp(*bounds)
        path.append(x)
    return path


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0), (0.3, 0.7)], ids=["free", "unit", "narrow"])
def test_heavy_ball_is_the_textbook_recursion(bounds):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=generator)
    gradients = [torch.randn(x.shape, dtype=x.dtype, generator=generator) for _ in range(12)]
    expected = textbook(x, gradients, 0.1, 0.9, bounds)
    state = MomentumState.at_rest(x)
    for gradient, want in zip(gradients, expected, strict=True):
        state = heavy_ball_step(state, lambda x, gradient=gradient: gradient, 0.1, 0.9, bounds=bounds)
        assert torch.allclose(state.x, want, atol=1e-12)
    x = state.x
    if bounds is not None:
        assert bool(((x == bounds[0]) | (x == bounds[1])).any()), "the clipping was not exercised"


def test_clipping_the_image_leaves_the_velocity():
    """A pixel pushed against the bound keeps its velocity, as in the authors' program."""
    state = MomentumState.at_rest(torch.tensor([[[[0.95]]]]))
    moved = heavy_ball_step(state, lambda x: torch.tensor([[[[-2.0]]]]), 0.1, 0.9)
    assert float(moved.x) == 1
    assert float(moved.x - moved.previous) == pytest.approx(0.2)


def test_without_a_gradient_a_solver_at_rest_stays():
    x = torch.rand(1, 3, 4, 4)
    state = MomentumState.at_rest(x, dual=True)
    assert torch.equal(state.dual, torch.zeros_like(x))
    moved = heavy_ball_step(MomentumState.at_rest(x), torch.zeros_like, 0.1, 0.9)
    assert all(torch.equal(part, x) for part in moved[:3])


def test_steps_may_differ_between_images():
    x = torch.rand(2, 1, 3, 3, dtype=torch.float64)
    gradient = torch.rand_like(x)
    step = torch.tensor([0.1, 0.2], dtype=x.dtype).view(2, 1, 1, 1)
    moved = heavy_ball_step(MomentumState.at_rest(x), lambda x: gradient, step, 0.9, bounds=None)
    assert torch.allclose(moved.x, x - step * gradient)


def test_inputs_are_not_modified():
    x, origin, gradient = (torch.rand(1, 3, 4, 4) for _ in range(3))
    copies = [t.clone() for t in (x, origin, gradient)]
    state = MomentumState(x, x, origin)
    heavy_ball_step(state, lambda x: gradient, 0.1, 0.9)
    proximal_momentum_step(state, torch.sin, torch.cos, 0.5, 0.7)
    running_mean(x, origin, 0.3)
    assert all(torch.equal(a, b) for a, b in zip((x, origin, gradient), copies, strict=True))


@pytest.mark.parametrize("bounds", [None, (0.3, 0.7)], ids=["free", "narrow"])
def test_proximal_momentum_is_fista_on_a_lasso(bounds):
    """With the step and momentum of Beck and Teboulle it is their recursion, clipped."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64, generator=generator)
    target = torch.rand(x.shape, dtype=x.dtype, generator=generator)
    state, expected, expected_before = MomentumState.at_rest(x), x, x
    for k in range(12):
        momentum = k / (k + 3)
        point = expected + momentum * (expected - expected_before)
        descended = point - 0.4 * (point - target)
        shrunk = descended.sign() * (descended.abs() - 0.05).clamp_min(0)
        expected, expected_before = shrunk if bounds is None else shrunk.clamp(*bounds), expected
        state = proximal_momentum_step(
            state, lambda z: z - target, torch.nn.Softshrink(0.05), 0.4, momentum, bounds=bounds
        )
        assert state.dual is None
        assert torch.allclose(state.x, expected, atol=1e-12)


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)], ids=["free", "image"])
def test_with_a_dual_variable_and_whole_steps_it_is_plug_and_play_admm(bounds):
    """Boyd et al. (2011), equations 3.5 to 3.7, with a denoiser for the second proximal operator."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=generator)
    y = torch.rand(x.shape, dtype=x.dtype, generator=generator)
    known = (torch.rand(x.shape, generator=generator) > 0.5).to(x)

    def denoise(z):
        return 0.5 * z + 0.25 * (z.roll(1, -1) + z.roll(-1, -1))

    def data_prox(v):
        return (v + 9 * known * y) / (1 + 9 * known)

    state = MomentumState.at_rest(x, dual=True)
    expected, scaled = x, torch.zeros_like(x)
    for _ in range(12):
        z = denoise(expected + scaled)
        expected = data_prox(z - scaled)
        scaled = scaled + expected - z
        expected = expected if bounds is None else expected.clamp(*bounds)
        state = proximal_momentum_step(state, lambda z: z - denoise(z), data_prox, 1.0, 0.0, bounds=bounds)
        assert torch.allclose(state.x, expected, atol=1e-12)
        assert torch.allclose(state.dual, scaled, atol=1e-12)


def test_finished_images_keep_their_state():
    before = MomentumState(*(torch.rand(2, 1, 2, 2) for _ in range(4)))
    after = MomentumState(*(part + 1 for part in before))
    kept = after.keep(torch.tensor([True, False]), before)
    for old, new, part in zip(before, after, kept, strict=True):
        assert torch.equal(part[0], old[0]) and torch.equal(part[1], new[1])
    assert after._replace(dual=None).keep(torch.tensor([True, False]), before).dual is None


def test_running_mean_weighs_the_newest():
    mean, x = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    assert torch.equal(running_mean(mean, x, 1.0), x)
    assert torch.equal(running_mean(mean, x, 0.25), 0.25 * x)
    assert torch.equal(running_mean(mean, x, 0.0), mean)


def test_mirroring_is_its_own_inverse_and_has_four_forms():
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert torch.equal(mirrored(x, 0), x)
    assert torch.equal(mirrored(x, 1), torch.fliplr(x[0].permute(1, 2, 0)).permute(2, 0, 1)[None])
    assert torch.equal(mirrored(x, 2), torch.flipud(x[0].permute(1, 2, 0)).permute(2, 0, 1)[None])
    assert torch.equal(mirrored(x, 3), mirrored(mirrored(x, 1), 2))
    for flip in range(4):
        assert torch.equal(mirrored(mirrored(x, flip), flip), x)
