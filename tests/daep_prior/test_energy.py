"""The mean-shift energy against closed forms (a Gaussian image density) and against finite differences."""

import math

import pytest
import torch
from torch import nn

from daep_prior import ConvDAE, NoiseSource, UNetDAE, energy, energy_gradient, mean_shift

CHANNELS, HEIGHT, WIDTH = 3, 4, 3
PIXELS = CHANNELS * HEIGHT * WIDTH
#: Kernel widths of eq. 8's order test; each is half of the one before.
HALVED_WIDTHS = (0.02, 0.01, 0.005, 0.0025)
#: Relative error allowed between a gradient and central differences in float64.
FINITE_DIFFERENCE = 1e-6


class GaussianDAE(nn.Module):
    """The optimal DAE of a Gaussian image density: ``A_s(x) = m + C (C + s^2 I)^-1 (x - m)``."""

    def __init__(self, mean, covariance):
        super().__init__()
        self.register_buffer("mean", mean)
        values, vectors = torch.linalg.eigh(covariance)
        self.register_buffer("values", values)
        self.register_buffer("vectors", vectors)

    def spectrum(self, sigma):
        return self.values / (self.values + sigma**2)

    def forward(self, x, sigma):
        level = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
        coefficients = (x.flatten(1) - self.mean) @ self.vectors * self.spectrum(level)
        return (self.mean + coefficients @ self.vectors.T).view_as(x)


@pytest.fixture
def covariance():
    root = torch.randn(PIXELS, PIXELS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return 0.04 * (root @ root.T / PIXELS + 0.5 * torch.eye(PIXELS, dtype=torch.float64))


@pytest.fixture
def mean():
    return 0.5 + 0.1 * torch.rand(PIXELS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def gaussian(mean, covariance):
    return GaussianDAE(mean, covariance)


@pytest.fixture
def x():
    return torch.rand(2, CHANNELS, HEIGHT, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def conv(sigma=25 / 255, **kwargs):
    torch.manual_seed(0)
    return ConvDAE(sigma=sigma, depth=4, width=8, **kwargs).fold()


def unet():
    torch.manual_seed(0)
    return UNetDAE(widths=(4, 8), blocks=1).fold()


NETWORKS = {
    "conv": conv,
    "conv, noise-conditional": lambda: conv(sigma=None, sigma_range=(0.0, 0.2)),
    "unet": unet,
}


@pytest.fixture(params=NETWORKS, ids=str)
def network(request):
    """Small networks, made less smooth than an untrained one is: its last layer is 10 times what it starts as."""
    made = NETWORKS[request.param]()
    last = [m for m in made.body.modules() if isinstance(m, nn.Conv2d)][-1]
    last.weight.data.mul_(3)
    return made.double()


def fields_like(x, count=1, seed=5, channels=None):
    generator = torch.Generator().manual_seed(seed)
    shape = (x.shape[0], channels or x.shape[1], *x.shape[2:])
    return [torch.randn(shape, dtype=x.dtype, generator=generator) for _ in range(count)]


def central_differences(value, x, direction, step=1e-5):
    return (value(x + step * direction) - value(x - step * direction)) / (2 * step)


# -- the Gaussian density: everything is known ---------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.02, 25 / 255, 0.5])
def test_mean_shift_of_the_optimal_dae_is_the_score_of_the_smoothed_density(gaussian, mean, covariance, x, s):
    """Eq. 6, the score computed by automatic differentiation of torch's own density."""
    smoothed = torch.distributions.MultivariateNormal(mean, covariance + s**2 * torch.eye(PIXELS, dtype=x.dtype))
    point = x.flatten(1).clone().requires_grad_()
    (score,) = torch.autograd.grad(smoothed.log_prob(point).sum(), point)
    shift = mean_shift(gaussian, x, s).flatten(1)
    assert (shift - s**2 * score).abs().max() < 1e-10


def eq8_error(gaussian, x, s, expectation):
    """Largest deviation of ``2 (E[A_s(x - eps)] - x)`` from ``A_{s_eta}(x) - x``, ``s_eta^2 = 2 s^2``."""
    wide = mean_shift(gaussian, x, math.sqrt(2) * s)
    return float((2 * expectation(s) - wide).abs().max())


def both_signs(fields):
    """Each field with both signs."""
    return [signed for field in fields for signed in (field, -field)]


def antithetic_mean_shift(denoise, x, s):
    """``E[A_s(x - eps)] - x`` by a field with both signs: exact for an affine ``A_s``."""
    fields = both_signs(NoiseSource(seed=11).draw(x))
    return sum(denoise(x - s * field, s) - x for field in fields) / len(fields)


@pytest.mark.parametrize("estimate", ["exact", "antithetic"])
def test_stochastic_evaluation_is_of_its_order(gaussian, x, estimate):
    """Eq. 8: its error falls as s^4 while both sides fall as s^2."""
    if estimate == "exact":  # A_s is affine, so the expectation may be moved inside

        def expectation(s):
            return mean_shift(gaussian, x, s)
    else:

        def expectation(s):
            return antithetic_mean_shift(gaussian, x, s)

    errors = [eq8_error(gaussian, x, s, expectation) for s in HALVED_WIDTHS]
    slopes = [math.log2(wide / narrow) for wide, narrow in zip(errors, errors[1:], strict=False)]
    assert slopes[-1] == pytest.approx(4, abs=0.05)
    assert all(abs(later - 4) <= abs(earlier - 4) for earlier, later in zip(slopes, slopes[1:], strict=False))


def test_antithetic_gradient_of_an_affine_denoiser_has_no_noise_in_it(gaussian, x):
    """``grad = (I - A')^T (x - A(x - eps))`` is affine in eps, so a pair of both signs cancels it exactly."""
    s = 25 / 255
    exact = energy_gradient(gaussian, x, s)
    paired = energy_gradient(gaussian, x, s, both_signs(NoiseSource(seed=4).draw(x)))
    single = energy_gradient(gaussian, x, s, NoiseSource(seed=4).draw(x))
    assert torch.allclose(paired, exact, rtol=0, atol=1e-12)
    assert not torch.allclose(single, exact, rtol=0, atol=1e-4)


def test_energy_and_gradient_of_the_gaussian_are_the_closed_form(gaussian, mean, covariance, x):
    s = 25 / 255
    resolvent = torch.linalg.inv(covariance + s**2 * torch.eye(PIXELS, dtype=x.dtype))
    shift = s**2 * (x.flatten(1) - mean) @ resolvent
    assert torch.allclose(energy(gaussian, x, s), shift.square().sum(1) / 2, rtol=1e-12)
    assert torch.allclose(energy_gradient(gaussian, x, s).flatten(1), s**2 * shift @ resolvent, atol=1e-12)


def test_one_width_an_image_is_each_images_own(gaussian, x):
    widths = torch.tensor([0.05, 0.2], dtype=x.dtype)
    together = energy_gradient(gaussian, x, widths), energy(gaussian, x, widths)
    for i, width in enumerate(widths):
        assert torch.allclose(together[0][i : i + 1], energy_gradient(gaussian, x[i : i + 1], float(width)))
        assert torch.allclose(together[1][i : i + 1], energy(gaussian, x[i : i + 1], float(width)))


# -- networks: the gradient is that of the energy ------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2], ids=["no noise", "one field", "two fields"])
@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
def test_gradient_is_the_finite_difference_of_the_energy(network, count, channels):
    x = torch.rand(2, channels, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    replicas = 3 // channels
    noise = fields_like(x, count, channels=3) or None
    gradient = energy_gradient(network, x, 0.1, noise, replicas)
    for direction in fields_like(x, 2, seed=8):
        slope = (gradient * direction).flatten(1).sum(1)
        difference = central_differences(lambda z: energy(network, z, 0.1, noise, replicas), x, direction)
        assert torch.allclose(slope, difference, rtol=FINITE_DIFFERENCE, atol=0)


def test_without_the_jacobian_it_is_the_residual(network, x):
    (field,) = fields_like(x)
    got = energy_gradient(network, x, 0.1, [field], jacobian=False)
    assert torch.equal(got, x - network(x - 0.1 * field, 0.1))
    assert torch.equal(energy_gradient(network, x, 0.1, jacobian=False), -mean_shift(network, x, 0.1))


def test_several_fields_are_averaged(network, x):
    first, second = fields_like(x, 2)
    for value in (energy, energy_gradient):
        mean = (value(network, x, 0.1, [first]) + value(network, x, 0.1, [second])) / 2
        assert torch.allclose(value(network, x, 0.1, [first, second]), mean, rtol=1e-10, atol=1e-14)


def test_a_grey_image_is_three_equal_channels(network):
    """Energy: the mean over the replicas. Gradient: that of this mean, not three times it."""
    grey = torch.rand(2, 1, 6, 5, dtype=torch.float64)
    rgb = grey.expand(-1, 3, -1, -1).contiguous()
    noise = fields_like(rgb, 1)
    assert torch.allclose(energy(network, grey, 0.1, noise, replicas=3), energy(network, rgb, 0.1, noise) / 3)
    wide = energy_gradient(network, rgb, 0.1, noise)
    narrow = energy_gradient(network, grey, 0.1, noise, replicas=3)
    assert narrow.shape == grey.shape
    assert torch.allclose(narrow, wide.mean(1, keepdim=True))


def test_the_energy_is_one_number_an_image(network, x):
    assert energy(network, x, 0.1, fields_like(x)).shape == (2,)


# -- what an evaluation must not touch -----------------------------------------------------------------------------


@pytest.mark.parametrize("grad_enabled", [True, False])
def test_the_users_image_is_left_alone(network, x, grad_enabled):
    before = x.clone()
    with torch.set_grad_enabled(grad_enabled):
        for noise in (None, fields_like(x)):
            gradient = energy_gradient(network, x, 0.1, noise)
            assert not gradient.requires_grad
    assert not x.requires_grad
    assert x.grad is None
    assert torch.equal(x, before)


@pytest.mark.parametrize("trainable", [False, True])
def test_no_parameter_receives_a_gradient(x, trainable):
    network = conv().double().requires_grad_(trainable)
    energy_gradient(network, x, 0.1, fields_like(x))
    with torch.no_grad():
        energy_gradient(network, x, 0.1, fields_like(x))
        energy(network, x, 0.1, fields_like(x))
    assert all(p.grad is None for p in network.parameters())


def test_a_graph_is_kept_for_unfolded_training_only(x):
    frozen, trainable = conv().double(), conv().double().requires_grad_()
    leaf = x.clone().requires_grad_()
    assert energy_gradient(frozen, leaf, 0.1, fields_like(x)).requires_grad
    assert energy_gradient(trainable, x, 0.1, fields_like(x)).requires_grad
    assert not energy_gradient(frozen, x, 0.1, fields_like(x)).requires_grad
    with torch.no_grad():
        assert not energy_gradient(trainable, leaf, 0.1, fields_like(x)).requires_grad


@pytest.mark.parametrize("noisy", [False, True])
def test_training_differentiates_the_gradient_exactly(noisy):
    """Second derivatives, by the image and by a trained kernel width, against finite differences."""
    network = conv(sigma=None, sigma_range=(0.0, 0.2)).double()
    x = torch.rand(1, 3, 5, 4, dtype=torch.float64)
    noise = fields_like(x) if noisy else None
    (probe,) = fields_like(x, seed=20)
    (direction,) = fields_like(x, seed=21)

    def loss(point, width):
        return (energy_gradient(network, point, width, noise) * probe).sum()

    leaf, width = x.clone().requires_grad_(), torch.tensor(0.1, dtype=x.dtype, requires_grad=True)
    by_image, by_width = torch.autograd.grad(loss(leaf, width), (leaf, width))
    difference = central_differences(lambda z: loss(z, 0.1), x, direction)
    assert torch.allclose((by_image * direction).sum(), difference, rtol=1e-5)
    difference = central_differences(lambda s: loss(x, s), torch.tensor(0.1, dtype=x.dtype), 1.0)
    assert torch.allclose(by_width, difference, rtol=1e-5)


@pytest.mark.parametrize("noisy", [False, True])
def test_a_trained_kernel_width_alone_receives_a_gradient(noisy, x):
    """In the first iteration of an unfolded solver neither the image nor a frozen network asks for one."""
    network = conv(sigma=None, sigma_range=(0.0, 0.2)).double()
    width = torch.tensor(0.1, dtype=x.dtype, requires_grad=True)
    gradient = energy_gradient(network, x, width, fields_like(x) if noisy else None)
    gradient.square().sum().backward()
    assert width.grad is not None
    assert float(width.grad.abs()) > 0


def test_a_denoiser_without_gradient_is_refused_with_the_way_out(x):
    with pytest.raises(ValueError, match=r"denoiser.*jacobian=False"):
        energy_gradient(lambda z, s: (0.9 * z).detach(), x, 0.1)
    assert torch.allclose(energy_gradient(lambda z, s: (0.9 * z).detach(), x, 0.1, jacobian=False), 0.1 * x)


# -- noise ---------------------------------------------------------------------------------------------------------


def test_an_image_sees_the_same_noise_alone_and_in_a_batch():
    x = torch.zeros(3, 3, 5, 4)
    together = NoiseSource(seed=[3, 4, 5]).draw(x)
    for i, seed in enumerate([3, 4, 5]):
        assert torch.equal(NoiseSource(seed).draw(x[i : i + 1])[0][0], together[0][i])
    shared = NoiseSource(seed=7).draw(x)[0]
    assert torch.equal(shared[0], shared[2])
    assert torch.equal(shared[:1], NoiseSource(seed=7).draw(x[:1])[0])


@pytest.mark.parametrize("size", [(8, 8), (13, 7)])
def test_a_gradient_is_the_same_alone_and_in_a_batch(network, size):
    network = network.float()
    x = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(0))
    seeds = [1, 2, 3]
    widths = torch.tensor([0.05, 0.1, 0.15])
    together = energy_gradient(network, x, widths, NoiseSource(seeds).draw(x, 2))
    for i in range(3):
        one = x[i : i + 1]
        alone = energy_gradient(network, one, widths[i : i + 1], NoiseSource(seeds[i]).draw(one, 2))
        assert (together[i : i + 1] - alone).abs().max() < 1e-5


def test_fields_are_independent():
    x = torch.zeros(1, 3, 6, 6)
    fields = NoiseSource(seed=0).draw(x, 3)
    assert [f.shape for f in fields] == [x.shape] * 3
    assert not torch.equal(fields[0], fields[1])


def test_streams_move_on_and_start_again_on_reset():
    x = torch.zeros(2, 3, 4, 4)
    source = NoiseSource(seed=1)
    first, second = source.draw(x)[0], source.draw(x)[0]
    assert not torch.equal(first, second)
    source.reset()
    assert torch.equal(source.draw(x)[0], first)
    assert not torch.equal(NoiseSource(seed=2).draw(x)[0], first)


def test_double_precision_sees_the_same_noise_as_single():
    x = torch.zeros(1, 3, 4, 4)
    single, double = NoiseSource(seed=1).draw(x)[0], NoiseSource(seed=1).draw(x.double())[0]
    assert double.dtype == torch.float64
    assert torch.equal(single, double.float())


def test_noise_has_unit_variance_and_no_mean():
    field = NoiseSource(seed=0).draw(torch.zeros(1, 3, 128, 128))[0]
    assert abs(float(field.mean())) < 0.02
    assert float(field.std()) == pytest.approx(1, abs=0.02)


def test_noise_source_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"seed.*2 seeds for 3 images"):
        NoiseSource(seed=[1, 2]).draw(torch.zeros(3, 3, 4, 4))
