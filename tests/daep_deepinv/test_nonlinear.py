"""Nonlinear, differentiable physics: derivatives, the proximal step, first images, and what is restored."""

import deepinv as dinv
import pytest
import torch
from deepinv.optim.phase_retrieval import correct_global_phase
from deepinv.physics import ComposedPhysics, Physics, SpatialUnwrapping
from deepinv.utils import TensorList

from daep_deepinv import DAEP, starting_point
from daep_deepinv.data_terms.nonlinear import NonlinearL2, gauss_newton
from daep_deepinv.operators.cost import is_costly
from daep_deepinv.operators.linearized import backward, forward, period_of
from daep_deepinv.operators.scaled import ComplexAsReal, ScaledPhysics
from daep_deepinv.starts.nonlinear import nonlinear_start
from daep_prior.partition import as_complex, as_real

SIZE = (1, 12, 12)
GAUSSIAN = dinv.physics.functional.gaussian_blur(sigma=(1.0, 1.0))


def generator():
    return torch.Generator().manual_seed(0)


def retrieval(images=1, noise=0.0, size=SIZE):
    return dinv.physics.RandomPhaseRetrieval(
        5 * size[1] * size[2], size, rng=generator(), noise_model=dinv.physics.GaussianNoise(noise, rng=generator())
    )


class WrongProduct(Physics):
    """A root whose ``A_vjp`` is wrong."""

    def A(self, x, **kwargs):
        return (x + 1).sqrt()

    def A_vjp(self, x, v):
        return v


class NoForwardDerivative(torch.autograd.Function):
    """A square without a rule for forward differentiation."""

    @staticmethod
    def forward(x):
        return x.square()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


PHYSICS = {
    "gamma": lambda: Physics(A=lambda x, **_: (x + 0.1).clamp_min(0.01) ** 0.5),
    "saturated blur": lambda: Physics(A=lambda x, **_: torch.tanh(dinv.physics.Blur(GAUSSIAN, "circular").A(x))),
    "two at once": lambda: Physics(A=lambda x, **_: TensorList([x.square(), torch.exp(x)])),
    "wrong product": WrongProduct,
    "no forward derivative": lambda: Physics(A=lambda x, **_: NoForwardDerivative.apply(x)),
    "phase retrieval": lambda: ComplexAsReal(retrieval()),
    "scaled": lambda: ScaledPhysics(WrongProduct(), 2.0, torch.full((1, 1, 1, 1), -0.2)),
}


def some(shape, seed):
    return 0.3 + 0.4 * torch.rand(shape, dtype=torch.float32, generator=torch.Generator().manual_seed(seed))


def parts(y):
    return list(y) if isinstance(y, TensorList) else [y]


def inner(a, b):
    return float(sum((p * q).sum() for p, q in zip(parts(a), parts(b), strict=True)))


@pytest.fixture(params=PHYSICS)
def physics(request):
    return PHYSICS[request.param]()


@pytest.fixture
def point(physics):
    return some((2, 2 if isinstance(physics, ComplexAsReal) else 1, *SIZE[1:]), 0)


class Iterated(Physics):
    """Sixteen fields by 200 Jacobi iterations, and their sum; counts how often it is evaluated."""

    evaluations = 0

    def A(self, x, **_):
        type(self).evaluations += 1  # no state of the object, which would be another operator
        field = torch.zeros_like(x).repeat(1, 16, 1, 1)
        for _ in range(200):
            field = (x + 0.5 * field.roll(1, -1)) / (1 + 0.1 * x)
        return field.mean(1, keepdim=True)

    def A_vjp(self, x, v):
        return torch.func.vjp(self.A, x)[1](v)[0]


class BlurredSquare(Physics):
    """A blur of the square; ``A_vjp`` uses deepinv's adjoint of a thin kernel under this padding, which is wrong."""

    def __init__(self):
        super().__init__()
        self.blur = dinv.physics.Blur(torch.ones(1, 1, 1, 3) / 3, padding="replicate")

    def A(self, x, **kwargs):
        return self.blur.A(x.square())

    def A_vjp(self, x, v):
        return 2 * x * self.blur.A_adjoint(v)


@pytest.mark.parametrize("side", [24, 36, 48, 64, 96])
def test_a_wrong_product_is_seen_at_every_size(side):
    physics, x = BlurredSquare(), torch.rand(1, 1, side, side, generator=generator()) + 0.5
    v = torch.randn(x.shape, generator=generator())
    torch.testing.assert_close(backward(physics, x, v), torch.func.vjp(physics.A, x)[1](v)[0])


# -- costly operators ------------------------------------------------------------------------------------------------


def test_a_costly_operator_is_evaluated_rarely(face, shipped):
    physics = Iterated(noise_model=dinv.physics.GaussianNoise(0.02, rng=generator()))
    y = physics(face[:, :1, 16:32, 16:32])
    plan = DAEP(denoiser=shipped("dae")).plan(y, physics)[0]
    assert plan.preset == "fast" and "costly" in plan.data_term
    assert DAEP(preset="best").plan(y, physics)[0].preset == "best"
    before = physics.evaluations
    gauss_newton(y, y, physics, 100.0, 1)
    # the residual, the derivative, two directions, the result
    assert physics.evaluations - before == 5


def test_a_large_matrix_is_not_costly():
    matrix = some((4096, 64), 0)
    physics = Physics(A=lambda x, **_: (x.flatten(1) @ matrix.clone().T).square())
    assert not is_costly(physics, some((1, 1, 8, 8), 1))


# -- derivatives and steps -------------------------------------------------------------------------------------------


def test_both_derivatives_belong_together_and_to_the_physics(physics, point):
    direction = some(point.shape, 1) - 0.5
    seen = forward(physics, point, direction)
    step = 1e-2
    difference = (physics.A(point + step * direction) - physics.A(point - step * direction)) * (0.5 / step)
    for got, expected in zip(parts(seen), parts(difference), strict=True):
        assert torch.allclose(got, expected, atol=2e-3)
    assert inner(seen, seen) == pytest.approx(inner(direction, backward(physics, point, seen)), rel=2e-3)


def test_the_proximal_step_lowers_its_objective_to_a_minimum(physics, point):
    y, data = physics.A(some(point.shape, 2)), NonlinearL2(0.5)
    v = point
    for _ in range(20):  # each call is one Gauss-Newton step from its argument
        v = v + 0.3 * (data.prox(v, y, physics, gamma=1.0) - v)
    stays = data.prox(v, y, physics, gamma=1.0)

    def objective(x, around):
        return data.fn(x, y, physics) + 0.5 * (x - around).flatten(1).square().sum(1)

    assert bool((objective(data.prox(point, y, physics, gamma=1.0), point) < objective(point, point)).all())
    assert (data.grad(stays, y, physics)).abs().max() < 0.1 * data.grad(point, y, physics).abs().max() + 1e-3


def test_images_of_a_batch_take_their_own_steps(physics, point):
    y, data = physics.A(some(point.shape, 2)), NonlinearL2(0.1)
    together = data.prox(point, y, physics, gamma=0.5)
    for i in range(2):
        one = TensorList([part[i : i + 1] for part in y]) if isinstance(y, TensorList) else y[i : i + 1]
        alone = data.prox(point[i : i + 1], one, physics, gamma=0.5)
        assert torch.allclose(alone, together[i : i + 1], atol=1e-4)


def test_the_gradient_is_that_of_the_value(physics, point):
    y, data = physics.A(some(point.shape, 2)), NonlinearL2(0.5)
    x = point.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(data.fn(x, y, physics).sum(), x)
    assert torch.allclose(data.grad(point, y, physics), gradient, rtol=1e-3, atol=1e-3)


def test_a_physics_in_other_units_measures_the_same():
    scaled = PHYSICS["scaled"]()
    x = some((1, *SIZE), 0)
    assert torch.allclose(2 * scaled.A(x), scaled.base.A(2 * x - 0.2))


def test_complex_images_are_real_and_imaginary_channels():
    z = torch.complex(some((2, 3, 4, 5), 0), some((2, 3, 4, 5), 1))
    assert as_real(z).shape == (2, 6, 4, 5)
    assert torch.equal(as_complex(as_real(z)), z)


# -- first images ----------------------------------------------------------------------------------------------------


def smooth(period):
    rows, cols = torch.meshgrid(torch.linspace(0, 1, 24), torch.linspace(0, 2, 20), indexing="ij")
    return period * torch.stack([rows + cols, 0.5 * rows * cols])[None]


@pytest.mark.parametrize("mode", ["floor", "round"])
@pytest.mark.parametrize("period", [1.0, 6.3])
def test_wrapped_images_start_unwrapped(mode, period):
    x = smooth(period) - (0.7 * period if mode == "round" else 0)
    x = x - (period * torch.round(x.mean((-2, -1), keepdim=True) / period) if mode == "round" else 0)
    physics = SpatialUnwrapping(period, mode)
    assert period_of(physics) == period
    assert period_of(ScaledPhysics(ComposedPhysics(dinv.physics.Denoising(), physics), 2.0)) == period / 2
    assert torch.allclose(starting_point(physics.A(x), physics), x, atol=1e-3 * period)


def test_the_phase_that_is_not_measured_makes_the_sum_positive():
    x = torch.exp(1j * some((2, *SIZE), 0) * 3)
    physics = retrieval()
    start, words = nonlinear_start(physics.A(x), physics)
    assert "spectral" in words
    assert torch.allclose(start.sum((1, 2, 3)).angle(), torch.zeros(2), atol=1e-4)
    assert torch.allclose(correct_global_phase(start, x), x, atol=1e-2)


def test_the_global_random_state_is_left_alone():
    physics = retrieval()
    y = physics.A(torch.exp(1j * some((1, *SIZE), 0)))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    nonlinear_start(y, physics)
    assert torch.equal(torch.rand(1), expected)


def test_a_function_is_inverted_from_the_measurement():
    physics = Physics(A=lambda x, **_: (x + 0.1).clamp_min(0.01) ** 0.5)
    x = some((2, *SIZE), 0)
    assert torch.allclose(starting_point(physics.A(x), physics), x, atol=1e-3)


def test_a_function_to_another_space_needs_a_first_image():
    physics = Physics(A=lambda x, **_: x.flatten(1).square())
    x = some((1, *SIZE), 0)
    with pytest.raises(ValueError, match=r"physics: Physics offers no first image .* pass init="):
        starting_point(physics.A(x), physics)
    assert DAEP(0.01, preset="fast", denoiser="dae", max_iter=1)(physics.A(x), physics, init=x).shape == x.shape


def test_a_function_that_has_no_derivative_is_refused():
    physics = Physics(A=lambda x, **_: torch.from_numpy(x.numpy() ** 2))
    with pytest.raises(ValueError, match="physics: Physics is not linear, and its derivative cannot be computed"):
        starting_point(some((1, *SIZE), 0), physics)


# -- restored --------------------------------------------------------------------------------------------------------


def psnr(x, truth, span=1.0):
    return float(-10 * ((x - truth) / span).abs().square().mean().log10())


def restored(y, physics, sigma, denoiser, **arguments):
    return DAEP(sigma, preset="fast", denoiser=denoiser)(y, physics, **arguments)


@pytest.fixture
def face(photograph):
    return photograph[..., 20:68, 20:68]


def test_a_wrapped_photograph_is_restored(shipped, face):
    """deepinv's example, smaller: the discrete cosine transform 22.9 dB, its ADMM with total variation 24 dB."""
    x = dinv.physics.Blur(GAUSSIAN, "replicate").A(2 * face - 1)
    noise = dinv.physics.GaussianNoise(0.1, rng=generator())
    physics = SpatialUnwrapping(1.0, "round", noise_model=noise)
    y = physics(x)
    out = restored(y, physics, 0.1, shipped("dae"))
    assert psnr(out, x, 2) > 30
    assert psnr(out, x, 2) > psnr(starting_point(y, physics), x, 2) + 5


@pytest.mark.parametrize(("noise", "least"), [(0.0, 45), (0.05, 27)])
def test_phases_are_retrieved(noise, least, shipped):
    """deepinv's example, smaller: its plug-and-play has 25.6 dB."""
    x = smooth(1.0)[:, :1, ::2, ::2][..., :10, :10] / 3
    signal = torch.exp(1j * torch.pi * (x - 0.5))
    physics = retrieval(noise=noise, size=(1, 10, 10))
    out = correct_global_phase(restored(physics(signal), physics, noise, shipped("dae")), signal)
    assert out.dtype == torch.complex64
    assert psnr(out.angle() / torch.pi + 0.5, x) > least


def test_haze_of_known_depth_is_removed(shipped, face):
    depth = torch.linspace(0, 10, 48).expand(1, 1, 48, 48)
    physics = dinv.physics.Haze(beta=0.1)
    physics.set_noise_model(dinv.physics.GaussianNoise(0.02, rng=generator()))
    y = physics(TensorList([face, depth, torch.tensor([0.8])]))
    assert psnr(restored(y, physics, 0.02, shipped("dae"), init=(y, depth, torch.tensor([0.8]))), face) > 30


class Bent(Physics):
    """A curve with complex values that has an inverse of its own."""

    def A(self, x, **_):
        return 1j * (x + 0.1 * x * x)

    def A_dagger(self, y, **_):
        return -1j * y - 0.1 * (-1j * y) ** 2


def test_images_are_complex_only_if_the_first_image_is(shipped, face):
    real = face[:, :1]
    for x in (real, torch.polar(real, 0.5 * face[:, 1:2])):
        physics = Bent(noise_model=dinv.physics.GaussianNoise(0.05, rng=generator()))
        y = physics(x)
        inverse = physics.A_dagger(y)
        init = inverse if x.is_complex() else None
        plan = DAEP(preset="fast", denoiser=shipped("dae")).plan(y, physics, init=init)[0]
        assert plan.start.startswith("real part of") == (not x.is_complex())
        out = DAEP(preset="fast", denoiser=shipped("dae"))(y, physics, init=init)
        assert out.dtype == x.dtype
        assert psnr(out, x) > psnr(inverse if x.is_complex() else inverse.real, x) + 2


def test_a_tone_curve_after_a_blur_is_undone(shipped, face):
    blur = dinv.physics.Blur(GAUSSIAN, "circular")
    physics = Physics(
        A=lambda x, **_: torch.tanh(1.5 * blur.A(x)), noise_model=dinv.physics.GaussianNoise(0.02, rng=generator())
    )
    model = DAEP(preset="fast", denoiser=shipped("dae"))
    out = model(physics(face), physics)
    assert psnr(out, face) > 27
    assert model.noise_level == [pytest.approx(0.02)]
    assert "Gauss-Newton" in str(model.plans)


def test_the_papers_solver_takes_the_gradient(shipped, face):
    physics = Physics(A=lambda x, **_: torch.tanh(1.5 * x))
    x = face[..., :16, :16]
    assert (
        DAEP(0.02, preset="paper", denoiser=shipped("dae-sigma25"), max_iter=2)(physics.A(x), physics).shape == x.shape
    )


def test_pixels_that_a_nonlinear_operator_does_not_see_are_interpolated(shipped, face):
    """Black pixels in the first image halved the scale and cost 2 dB."""
    mask = (torch.rand(1, 1, 48, 48, generator=generator()) < 0.5).float()
    physics = Physics(
        A=lambda x, **_: mask * torch.tanh(1.5 * x), noise_model=dinv.physics.GaussianNoise(0.02, rng=generator())
    )
    y = physics(face) * mask
    model = DAEP(preset="fast", denoiser=shipped("dae"))
    restored_from_black = model(y, physics, init=mask * y)
    assert psnr(model(y, physics), face) > psnr(restored_from_black, face) + 1
    assert model.plans[0].start.endswith("unseen pixels interpolated") and model.plans[0].range.scale == 1
