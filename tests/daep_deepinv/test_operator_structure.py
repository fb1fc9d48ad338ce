"""Operators with a diagonal ``K K^T`` or an almost circulant ``K^T K``: their proximal steps."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv.data_terms import least_squares, weighted
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.data_terms.operator_structure import circulant_of, gram_diagonal
from daep_deepinv.data_terms.weighted import WeightedL2
from daep_deepinv.linear_algebra.circulant import circulant_power
from daep_deepinv.operators.right_adjoint import with_right_adjoint

P = dinv.physics
SIDE = 32
KERNEL = P.functional.gaussian_blur(sigma=(1.0, 2.0))


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def coded(mode: str) -> P.LinearPhysics:
    """Its adjoint is wrong in deepinv."""
    physics = P.CompressiveSpectralImaging((4, SIDE, SIDE), mode=mode, rng=rng())
    return with_right_adjoint(physics, torch.zeros(1, 4, SIDE, SIDE))


def pair_of_means(x: torch.Tensor) -> torch.Tensor:
    return (x + x.roll(1, -1)) / 2


def smoothing() -> P.LinearPhysics:
    """An operator that the user wrote, circulant."""
    return P.LinearPhysics(A=lambda x, **_: pair_of_means(x), A_adjoint=lambda y, **_: pair_of_means(y).roll(-1, -1))


DIAGONAL = {
    "coded, ss": lambda: coded("ss"),
    "coded, sd": lambda: coded("sd"),
    "grey from colour": P.Decolorize,
    "structured": lambda: P.StructuredRandom((1, SIDE, SIDE), (1, 20, 20), rng=rng()),
    "product with a mask": lambda: P.Inpainting((1, SIDE, SIDE), mask=0.5, rng=rng()) * P.Denoising(),
}
CIRCULANT = {
    "tomography": lambda: P.Tomography(20, SIDE, normalize=True, circle=False),
    "smoothing": smoothing,
    "stack": lambda: P.stack(smoothing(), smoothing()),
}
NEITHER = {
    "random": lambda: P.CompressedSensing(300, (1, SIDE, SIDE), rng=rng()),
    "reflecting blur": lambda: P.Blur(KERNEL, padding="reflect"),
}
CHANNELS = {"coded, ss": 4, "coded, sd": 4, "grey from colour": 3}


def images(name: str, count: int = 2) -> torch.Tensor:
    return torch.rand(count, CHANNELS.get(name, 1), SIDE, SIDE, generator=rng())


@pytest.mark.parametrize("name", [*DIAGONAL, *CIRCULANT, *NEITHER])
def test_the_structure_is_found(name) -> None:
    physics, x = {**DIAGONAL, **CIRCULANT, **NEITHER}[name](), images(name)
    assert (gram_diagonal(physics, x, physics.A(x)) is not None) == (name in DIAGONAL)
    if name not in DIAGONAL:
        assert (circulant_of(physics, x) is not None) == (name in CIRCULANT)


@pytest.mark.parametrize("name", DIAGONAL)
@pytest.mark.parametrize("weights", [False, True])
def test_a_step_with_a_diagonal_gram_matrix_is_exact(name, weights) -> None:
    physics, x = DIAGONAL[name](), images(name)
    y = physics.A(x.flip(0))
    variance = 0.01 + torch.rand(y.shape, generator=rng())
    variance[..., ::7] = torch.inf  # values that are not used
    data = WeightedL2(variance) if weights else PerImageL2(0.2)
    moved = data.prox(x, y, physics, gamma=0.3)
    assert float((moved - x + 0.3 * data.grad(moved, y, physics)).abs().max()) < 2e-4
    alone = (WeightedL2(variance[1:]) if weights else PerImageL2(0.2)).prox(x[1:], y[1:], physics, gamma=0.3)
    assert torch.allclose(alone, moved[1:], atol=1e-5)


def test_the_power_of_a_circulant_operator_is_exact() -> None:
    physics = smoothing()
    power = circulant_power(physics.A_adjoint_A, torch.zeros(2, 3, 16, 20))
    expected = torch.cos(torch.pi * torch.fft.rfftfreq(20)).square().expand(2, 3, 16, -1)
    assert torch.allclose(power, expected, atol=1e-5)


def test_volumes_have_three_frequencies() -> None:
    physics = P.Blur(torch.ones(1, 1, 3, 3, 3) / 27, padding="circular")
    x = torch.rand(1, 1, 5, 16, 16, generator=rng())
    y, data = physics.A(x.flip(-1)), PerImageL2(0.1)
    physics.max_iter = 2  # enough only for the exact inverse
    moved = data.prox(x, y, physics, gamma=3.0)
    assert float((moved - x + 3.0 * data.grad(moved, y, physics)).abs().max()) < 1e-3


@pytest.mark.parametrize("weights", [False, True])
def test_tomography_needs_fewer_iterations_for_the_same_step(weights, monkeypatch) -> None:
    x = images("tomography")
    physics = CIRCULANT["tomography"]()
    physics.tol, physics.max_iter = 1e-6, 500
    y = physics.A(x.flip(0))
    variance = 0.01 + y / y.max()
    calls = [0]
    project = physics.A

    def counted(v, **kwargs):
        calls[0] += 1
        return project(v, **kwargs)

    def step() -> tuple[torch.Tensor, int]:
        data = WeightedL2(variance) if weights else PerImageL2(0.1)
        calls[0] = 0
        return data.prox(x, y, physics, gamma=20.0), calls[0]

    physics.A = counted
    step()  # finds the structure
    fast, few = step()
    for module in (least_squares, weighted):
        monkeypatch.setattr(module, "circulant_of", lambda *_: None)
    slow, many = step()
    assert few < 0.75 * many
    assert float((fast - slow).square().mean().sqrt()) < 2e-3
    monkeypatch.undo()
    one = (WeightedL2(variance[1:]) if weights else PerImageL2(0.1)).prox(x[1:], y[1:], physics, gamma=20.0)
    assert torch.allclose(one, fast[1:], atol=1e-3)


def test_an_image_whose_operator_is_not_circulant_is_solved_as_alone() -> None:
    """In a batch, one image is smoothed and the other is measured by a mask: the trial judges each."""
    mask = (torch.rand(1, 1, SIDE, SIDE, generator=rng()) > 0.5).float()

    def forward(x, **_):
        return torch.cat([pair_of_means(x[:1]), mask * x[1:] + 0.1 * x[1:].mean((-2, -1), keepdim=True)])

    def back(y, **_):
        return torch.cat([pair_of_means(y[:1]).roll(-1, -1), mask * y[1:] + 0.1 * y[1:].mean((-2, -1), keepdim=True)])

    x = images("two")
    power = circulant_of(P.LinearPhysics(A=forward, A_adjoint=back), x)
    assert power is not None
    assert float(power[0].std()) > 0.1
    assert bool((power[1] == power[1].max()).all())


def test_an_operator_that_does_not_see_grey_has_weights() -> None:
    """``K`` of a constant image is 0, and with it the row sums that the weights of the pixels are found from."""
    physics = P.LinearPhysics(A=lambda x, **_: x.roll(1, -1) - x, A_adjoint=lambda y, **_: y.roll(-1, -1) - y)
    physics.tol, physics.max_iter = 1e-6, 500
    x = images("differences")
    y, data = physics.A(x.flip(0)), WeightedL2(0.01 + torch.rand(2, 1, SIDE, SIDE, generator=rng()))
    moved = data.prox(x, y, physics, gamma=0.3)
    assert float((moved - x + 0.3 * data.grad(moved, y, physics)).abs().max()) < 1e-3


def test_a_changed_operator_is_looked_at_again() -> None:
    physics, x = P.CompressiveSpectralImaging((4, SIDE, SIDE), mode="sd", rng=rng()), images("coded, sd")
    right = with_right_adjoint(physics, x)
    before = gram_diagonal(right, x, physics.A(x))
    physics.mask.zero_()
    after = gram_diagonal(right, x, physics.A(x))
    assert before is not None and float(before.max()) > 0
    assert after is not None and float(after.max()) == 0


def test_an_operator_that_crops_has_no_preconditioner() -> None:
    """Its border converges last, which the residual does not show."""
    x = torch.zeros(1, 3, 64, 64)
    assert circulant_of(dinv.physics.Downsampling((3, 64, 64), "gaussian", 2, padding="valid"), x) is None
    assert circulant_of(dinv.physics.Downsampling((3, 64, 64), "gaussian", 2, padding="circular"), x) is not None
