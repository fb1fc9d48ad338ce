"""The data term of ``DAEP``: deepinv's ``L2``, each image by itself."""

import deepinv as dinv
import pytest
import torch
from deepinv.optim.data_fidelity import L2

from daep_deepinv import degradation
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.data_terms.shared_noise import SharedNoiseL2
from daep_deepinv.noise.spectrum import NoiseSpectrum
from daep_deepinv.operators.trust import has_closed_prox

SIZE = (3, 12, 16)
KERNEL = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
CLOSED = {
    "Fourier blur": lambda: degradation(KERNEL, padding="circular", img_size=SIZE),
    "bicubic": lambda: degradation(factor=2, img_size=SIZE),
    "mask": lambda: dinv.physics.Inpainting(SIZE, mask=0.5),
    "identity": degradation,
    "filtered downsampling": lambda: dinv.physics.Downsampling(SIZE, "bicubic", factor=2),
}
ITERATIVE = {
    "valid blur": lambda: degradation(KERNEL),
    "circular blur": lambda: degradation(KERNEL, padding="circular"),
    "blur and reduction": lambda: degradation(KERNEL, 2, padding="circular"),
    "decimation": lambda: degradation(factor=2, downsampling="decimate", img_size=SIZE),
    "decimation without filter": lambda: dinv.physics.Downsampling(SIZE, None, factor=2),
}


def problem(physics, images):
    y = physics.A(images(3, *SIZE))
    return y, torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", [*CLOSED, *ITERATIVE])
@pytest.mark.parametrize("gamma", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
def test_the_proximal_step_satisfies_its_optimality_condition(name, gamma, images):
    physics = {**CLOSED, **ITERATIVE}[name]()
    physics.tol, physics.max_iter = 1e-7, 200
    y, z = problem(physics, images)
    v = PerImageL2(sigma=0.5).prox(z, y, physics, gamma=gamma)
    assert (gamma * PerImageL2(sigma=0.5).grad(v, y, physics) + v - z).abs().max() < 1e-5


@pytest.mark.parametrize("name", [*CLOSED, *ITERATIVE])
def test_a_formula_is_known_from_an_iteration(name):
    physics = {**CLOSED, **ITERATIVE}[name]()
    assert has_closed_prox(physics) == (name in CLOSED)
    assert has_closed_prox(physics, torch.zeros(1, *SIZE)) == (name in CLOSED)


WRONG_FORMULAS = {
    "binary patterns": lambda: dinv.physics.SinglePixelCamera(60, (1, 12, 16), fast=False, rng=torch.Generator()),
    "grey from colour": dinv.physics.Decolorize,
    "enlarged": lambda: dinv.physics.Upsampling((3, 24, 32), "bicubic", 2),
}


@pytest.mark.parametrize("name", WRONG_FORMULAS)
def test_a_wrong_formula_is_replaced_by_conjugate_gradients(name, images):
    """deepinv's step for thin singular value decompositions forgets what the operator does not see."""
    physics = WRONG_FORMULAS[name]()
    physics.tol, physics.max_iter = 1e-7, 200
    z = images(2, 1 if "patterns" in name else 3, 12, 16)
    y = physics.A(z.flip(0))
    assert has_closed_prox(physics)
    assert not has_closed_prox(physics, z)
    v = PerImageL2(sigma=0.5).prox(z, y, physics, gamma=0.1)
    assert (0.1 * PerImageL2(sigma=0.5).grad(v, y, physics) + v - z).abs().max() < 1e-5


@pytest.mark.parametrize("name", ITERATIVE)
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4])
def test_an_image_stops_by_itself(name, tolerance, images):
    """However loosely it is solved: with deepinv's iteration a batch of unlike images moves each of them."""
    physics = ITERATIVE[name]()
    physics.tol = tolerance
    y, z = problem(physics, images)
    y, z = y * torch.tensor([1.0, 0.1, 3.0]).view(3, 1, 1, 1), z * torch.tensor([1.0, 5.0, 0.0]).view(3, 1, 1, 1)
    together = PerImageL2().prox(z, y, physics, gamma=20.0)
    for i in range(3):
        alone = PerImageL2().prox(z[i : i + 1], y[i : i + 1], physics, gamma=20.0)
        assert (alone - together[i : i + 1]).abs().max() < 1e-5


def test_value_and_gradient_are_deepinvs(images):
    physics = degradation(KERNEL)
    y, z = problem(physics, images)
    ours, theirs = PerImageL2(sigma=0.3), L2(sigma=0.3)
    assert isinstance(ours, L2)
    assert torch.equal(ours(z, y, physics), theirs(z, y, physics))
    assert torch.equal(ours.grad(z, y, physics), theirs.grad(z, y, physics))


def test_the_users_physics_keeps_its_settings(images):
    physics = degradation(KERNEL)
    physics.tol, physics.max_iter = 1e-3, 7
    y, z = problem(physics, images)
    PerImageL2().prox(z, y, physics)
    assert (physics.tol, physics.max_iter) == (1e-3, 7)


@pytest.mark.parametrize("name", [*CLOSED, *ITERATIVE])
def test_noise_that_the_channels_share_has_a_proximal_step(name, images):
    physics = {**CLOSED, **ITERATIVE}[name]()
    physics.tol, physics.max_iter = 1e-7, 200
    y, z = problem(physics, images)
    fidelity = SharedNoiseL2(sigma=0.5, differences=0.2)
    v = fidelity.prox(z, y, physics, gamma=0.1)
    assert (0.1 * fidelity.grad(v, y, physics) + v - z).abs().max() < 1e-5


def test_value_and_gradient_of_shared_noise_belong_together(images):
    physics = degradation(KERNEL)
    y, z = problem(physics, images)
    fidelity = SharedNoiseL2(sigma=0.5, differences=0.2)
    z.requires_grad_(True)
    (gradient,) = torch.autograd.grad(fidelity(z, y, physics).sum(), z)
    assert (fidelity.grad(z, y, physics) - gradient).abs().max() < 1e-4


def test_noise_of_which_the_channels_share_nothing_is_independent(images):
    physics = degradation(KERNEL)
    y, z = problem(physics, images)
    shared, independent = SharedNoiseL2(sigma=0.3, differences=0.3), PerImageL2(sigma=0.3)
    assert torch.allclose(shared(z, y, physics), independent(z, y, physics))
    assert torch.allclose(shared.prox(z, y, physics, gamma=0.1), independent.prox(z, y, physics, gamma=0.1), atol=1e-5)


def test_the_differences_of_the_channels_are_stepped_by_themselves(images):
    physics = degradation(KERNEL)
    y, z = problem(physics, images)
    v = SharedNoiseL2(sigma=0.3, differences=1e-3).prox_of_differences(z, y, physics, 1.0)
    assert torch.allclose(v.mean(1), z.mean(1), atol=1e-6)
    residual = physics.A(v) - y
    assert (residual - residual.mean(1, keepdim=True)).abs().max() < 1e-3


# -- noise that is not white -------------------------------------------------------------------------------------------

BLURS = ("valid blur", "circular blur")


def spectrum(*power):
    """Powers at equally far frequencies from 0.1 to 0.6."""
    frequency = torch.linspace(0.1, 0.6, len(power), dtype=torch.float64)
    return NoiseSpectrum(frequency, torch.tensor(power, dtype=torch.float64), torch.zeros(len(power)))


@pytest.mark.parametrize("name", BLURS)
@pytest.mark.parametrize("gamma", [0.1, torch.tensor(0.1)], ids=["number", "tensor"])
def test_noise_that_is_not_white_has_a_proximal_step(name, gamma, images):
    physics = ITERATIVE[name]()
    physics.tol, physics.max_iter = 1e-7, 1000
    y, z = problem(physics, images)
    fidelity = PerImageL2(0.5, spectrum(0.8, 0.3, 0.05))
    v = fidelity.prox(z, y, physics, gamma=gamma)
    assert (gamma * fidelity.grad(v, y, physics) + v - z).abs().max() < 1e-4


@pytest.mark.parametrize("name", BLURS)
def test_value_and_gradient_of_noise_that_is_not_white_belong_together(name, images):
    physics = ITERATIVE[name]()
    physics.tol, physics.max_iter = 1e-9, 1000
    y, z = (t.double() for t in problem(physics, images))
    physics = physics.double()
    fidelity = PerImageL2(0.5, spectrum(0.8, 0.3, 0.05))
    direction, step = torch.rand_like(z) - 0.5, 1e-4
    slope = (fidelity(z + step * direction, y, physics) - fidelity(z - step * direction, y, physics)) / (2 * step)
    inner = (fidelity.grad(z, y, physics) * direction).flatten(1).sum(1)
    assert torch.allclose(slope, inner, rtol=1e-4)


@pytest.mark.parametrize("name", BLURS)
def test_a_spectrum_that_is_flat_is_white_noise(name, images):
    physics = ITERATIVE[name]()
    physics.tol, physics.max_iter = 1e-7, 200
    y, z = problem(physics, images)
    flat, white = PerImageL2(0.5, spectrum(0.25, 0.25)), PerImageL2(0.5)
    assert torch.allclose(flat(z, y, physics), white(z, y, physics), rtol=1e-4)
    assert torch.allclose(flat.grad(z, y, physics), white.grad(z, y, physics), atol=1e-4)
    assert torch.allclose(flat.prox(z, y, physics, gamma=0.1), white.prox(z, y, physics, gamma=0.1), atol=1e-5)


def test_what_is_not_measured_costs_nothing(images):
    """The value is that of the measured pixels alone: the least over all that the others could be."""
    physics = ITERATIVE["valid blur"]()
    physics.tol, physics.max_iter = 1e-7, 1000
    y, z = problem(physics, images)
    fidelity = PerImageL2(0.5, spectrum(0.8, 0.3, 0.05))
    value = fidelity(z, y, physics)
    circular = PerImageL2(0.5, spectrum(0.8, 0.3, 0.05))
    around = dinv.physics.Blur(filter=physics.filter, padding="circular")
    rows, cols = (n // 2 for n in physics.filter.shape[-2:])
    for seed in range(3):
        noise = 0.3 * torch.randn(z.shape, generator=torch.Generator().manual_seed(seed))
        whole = around.A(z) + noise
        whole[..., rows:-rows, cols:-cols] = y
        assert bool((value <= circular(z, whole, around) * (1 + 1e-4)).all())
