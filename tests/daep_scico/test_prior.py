"""The prior as a scico ``Functional``: its contract, JAX's differentiation and compilation, and scico's solvers."""

import numpy as np
import pytest
import torch

from daep_prior import ConvDAE, MeanShiftPrior, UNetDAE

pytest.importorskip("scico", reason="pip install daep-prior[scico]")
jax = pytest.importorskip("jax")

import scico  # noqa: E402
import scico.numpy as snp  # noqa: E402
from scico import functional, linop, loss, optimize  # noqa: E402

from daep_scico import DAEPrior  # noqa: E402
from daep_scico.exchange import from_torch, to_torch  # noqa: E402

SHAPE = (8, 12, 3)


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return UNetDAE(widths=(4, 8), blocks=1).fold()


@pytest.fixture
def x():
    return snp.array(np.random.default_rng(0).random(SHAPE, dtype="float32"))


def in_float32(network):
    network.compute_dtype = torch.float32
    return network


def test_it_is_a_functional_that_declares_what_it_can(unet):
    prior = DAEPrior(unet)
    assert isinstance(prior, functional.Functional) and prior.has_eval and prior.has_prox


def test_it_is_the_energy_of_the_core(unet, x):
    prior = DAEPrior(unet, sigma=0.1, noise="fixed")
    core = MeanShiftPrior(unet, sigma=0.1, noise="fixed")
    images = torch.from_numpy(np.array(x)).movedim(-1, 0)[None]
    assert float(prior(x)) == pytest.approx(float(core.value(images)))
    assert np.array_equal(np.array(prior.grad(x)), core.gradient(images)[0].movedim(0, -1).numpy())


@pytest.mark.parametrize("shape", [SHAPE, (8, 12)])
def test_the_gradient_is_the_finite_difference_of_the_value(unet, shape):
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        x, direction = snp.array(rng.random(shape)), snp.array(rng.standard_normal(shape))
        assert x.dtype == np.float64
        prior = DAEPrior(unet, noise="fixed", dtype=torch.float64)
        difference = (prior(x + 1e-6 * direction) - prior(x - 1e-6 * direction)) / 2e-6
        assert float(snp.sum(prior.grad(x) * direction)) == pytest.approx(float(difference), rel=1e-5)


def test_every_way_to_differentiate_gives_the_same_gradient(unet, x):
    prior = DAEPrior(in_float32(unet), noise="fixed")
    expected = np.array(prior.grad(x))
    for gradient in (scico.grad(prior), jax.grad(prior), jax.jit(jax.grad(prior)), jax.jit(prior.grad)):
        assert np.allclose(np.array(gradient(x)), expected, atol=1e-6)
    assert np.allclose(np.array((2.0 * prior).grad(x)), 2 * expected, atol=1e-6)
    chained = jax.grad(lambda x: prior(0.5 * x) ** 2)(2 * x)
    assert np.allclose(np.array(chained), float(prior(x)) * expected, atol=1e-5)


def test_compiled_values_and_steps_are_those_that_are_not(unet, x):
    prior = DAEPrior(in_float32(unet), noise="fixed")
    assert float(jax.jit(prior)(x)) == pytest.approx(float(prior(x)), rel=1e-5)
    assert np.allclose(np.array(jax.jit(prior.prox)(x, 0.5)), np.array(prior.prox(x, 0.5)), atol=1e-6)


def test_fresh_noise_is_fresh_in_compiled_code_too(unet, x):
    prior = DAEPrior(unet)
    gradient = jax.jit(prior.grad)
    first = np.array(gradient(x))
    assert not np.array_equal(np.array(gradient(x)), first)
    prior.reset()
    assert np.array_equal(np.array(gradient(x)), first)


def test_the_proximal_step_meets_its_optimality_condition(unet, x):
    prior = DAEPrior(in_float32(unet), noise="fixed", prox_iterations=300)
    moved = prior.prox(x, 0.3)
    assert np.allclose(np.array(moved - x), -0.3 * np.array(prior.grad(moved)), atol=1e-3)


def test_arrays_are_exchanged_without_a_copy(x):
    tensor = to_torch(x)
    assert tensor.data_ptr() == x.unsafe_buffer_pointer()
    assert from_torch(tensor, x).unsafe_buffer_pointer() == x.unsafe_buffer_pointer()


def test_the_users_array_is_left_alone(unet, x):
    before = np.array(x)
    prior = DAEPrior(unet)
    prior(x), prior.grad(x), prior.prox(x, 0.5)
    assert np.array_equal(np.array(x), before)


def test_without_the_jacobian_it_says_that_there_is_no_energy(unet, x):
    prior = DAEPrior(unet, jacobian=False, noise="none")
    assert not prior.has_eval
    with pytest.raises(NotImplementedError, match="jacobian"):
        prior(x)
    images = torch.from_numpy(np.array(x)).movedim(-1, 0)[None]
    residual = images - unet(images, 25 / 255)
    assert np.allclose(np.array(prior.grad(x)), residual[0].movedim(0, -1).numpy(), atol=1e-6)


def test_unsuitable_arguments_are_refused_by_name(unet, x):
    with pytest.raises(ValueError, match="sigma"):
        DAEPrior(unet, sigma=-1.0)
    with pytest.raises(TypeError, match="samlpes"):
        DAEPrior(unet, samlpes=2)
    with pytest.raises(ValueError, match="channel_axis"):
        DAEPrior(unet)(snp.zeros((3, 8, 12)))
    with pytest.raises(ValueError, match="shape"):
        DAEPrior(unet).grad(snp.zeros(8))
    with pytest.raises(ValueError, match="real"):
        DAEPrior(unet).grad(snp.zeros(SHAPE, dtype=snp.complex64))


def smoother():
    """``r(x) = -(x - local mean)``: a convex energy, so that every solver must find its minimum."""
    dae = ConvDAE(depth=2, width=6, batch_norm=False)
    stencil = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    stencil[1, 1] -= 1
    with torch.no_grad():
        for parameter in dae.body.parameters():
            parameter.zero_()
        for channel in range(3):
            for k, sign in enumerate((1, -1)):
                dae.body[0].weight[2 * channel + k, channel] = sign * stencil
                dae.body[2].weight[channel, 2 * channel + k, 1, 1] = sign
    return in_float32(dae.fold())


def test_scicos_solvers_find_the_minimiser(x):
    """Optimality condition of ``||D x - y||^2 + R(x)`` for solvers that use the gradient and the proximal step."""
    prior = DAEPrior(smoother(), noise="none", prox_iterations=20)
    A = linop.Diagonal(0.5 + 0.5 * x)
    data = loss.SquaredL2Loss(x, A, scale=1.0)
    zero = snp.zeros_like(x)
    solvers = (
        optimize.AcceleratedPGM(f=prior, g=data, L0=2.0, x0=zero, maxiter=60),
        optimize.AcceleratedPGM(f=data, g=prior, L0=2.0, x0=zero, maxiter=20),
        optimize.ADMM(f=data, g_list=[prior], C_list=[linop.Identity(SHAPE)], rho_list=[1.0], x0=zero, maxiter=20),
    )
    for solver in solvers:
        found = solver.solve()
        assert np.allclose(np.array(data.grad(found) + prior.grad(found)), 0, atol=1e-2), type(solver)
