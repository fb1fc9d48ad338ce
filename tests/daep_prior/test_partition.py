"""Any number of channels, complex numbers and volumes: the images that the network sees, and the energy of them all."""

import pytest
import torch

from daep_prior import ConvDAE, MeanShiftPrior, UNetDAE, energy, principal_channels, range_transform
from daep_prior.channel_transform import phase_channels
from daep_prior.denoiser_traits import channels_of, takes_volumes
from daep_prior.network_input import fitting_channels

WIDTH = 0.1
#: Shape of an array, whether it is complex, and the plane of its slices.
ARRAYS = {
    "two channels": ((2, 2, 8, 9), False, (-2, -1)),
    "five channels": ((2, 5, 8, 9), False, (-2, -1)),
    "complex grey": ((2, 1, 8, 9), True, (-2, -1)),
    "complex colour": ((2, 3, 8, 9), True, (-2, -1)),
    "grey volume": ((2, 1, 4, 8, 9), False, (-2, -1)),
    "colour sequence": ((2, 3, 4, 8, 9), False, (-2, -1)),
    "volume of two channels along other axes": ((2, 2, 8, 3, 9), False, (-3, -1)),
    "complex volume": ((2, 1, 3, 8, 9), True, (-1, -2)),
}


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return UNetDAE(widths=(4, 8), blocks=1).fold()


@pytest.fixture(params=ARRAYS)
def array(request):
    """An array in float64, and its axes."""
    shape, is_complex, axes = ARRAYS[request.param]
    dtype = torch.complex128 if is_complex else torch.float64
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0)), axes


def TAKES_THREE(x, sigma):
    """A network of colour images."""
    return x


TAKES_THREE.in_channels = 3


def real_channels(x):
    return torch.cat([x.real, x.imag], 1) if x.is_complex() else x


def transforms(x, name):
    if name == "fitting":
        return fitting_channels(x, MeanShiftPrior(TAKES_THREE).partition(x))
    return {"none": None, "range": range_transform(-2.0, 3.0), "principal": principal_channels(real_channels(x))}[name]


@pytest.mark.parametrize("noise", ["fixed", "none"])
@pytest.mark.parametrize("transform", ["none", "range", "principal", "fitting"])
def test_the_gradient_is_the_finite_difference_of_the_value(unet, array, noise, transform):
    x, axes = array
    prior = MeanShiftPrior(unet, noise=noise, sigma=WIDTH, axes=axes, transform=transforms(x, transform))
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    step = 1e-7  # short, so as to stay on one side of every ReLU's kink
    difference = (prior.value(x + step * direction) - prior.value(x - step * direction)) / (2 * step)
    product = (prior.gradient(x) * direction.conj()).real.flatten(1).sum(1)
    assert torch.allclose(product, difference, rtol=1e-5)


@pytest.mark.parametrize("transform", ["none", "principal", "fitting"])
def test_an_array_gives_the_same_alone_and_in_a_batch(unet, array, transform):
    x, axes = array
    options = {"sigma": WIDTH, "axes": axes}
    together = MeanShiftPrior(unet, transform=transforms(x, transform), **options)
    alone = MeanShiftPrior(unet, transform=transforms(x[1:], transform), **options)
    widths = torch.tensor([0.1, 0.2], dtype=torch.float64)
    for evaluate in ("value", "gradient", "denoise"):
        both, one = getattr(together, evaluate)(x, widths), getattr(alone, evaluate)(x[1:], 0.2)
        assert both.dtype == one.dtype and torch.equal(both[1:], one)


def test_the_energy_is_the_sum_over_the_grey_images(unet):
    x = torch.rand(2, 5, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    prior = MeanShiftPrior(unet, noise="none", sigma=WIDTH)
    grey = sum(prior.value(x[:, i : i + 1]) for i in range(5))
    assert torch.allclose(prior.value(x), grey)
    assert torch.equal(prior.denoise(x)[:, 3:4], prior.denoise(x[:, 3:4]))


def test_slices_are_those_of_the_chosen_axes(unet):
    volume = torch.rand(1, 3, 4, 8, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        MeanShiftPrior(unet).denoise(volume, WIDTH)[:, :, 2], MeanShiftPrior(unet).denoise(volume[:, :, 2], WIDTH)
    )
    across = MeanShiftPrior(unet, axes=(-3, -1))
    assert torch.equal(across.denoise(volume, WIDTH)[..., 5, :], MeanShiftPrior(unet).denoise(volume[..., 5, :], WIDTH))
    assert "8 slices along the axes (-3, -1)" in str(across.partition(volume))


def test_each_image_of_an_array_has_noise_of_its_own():
    seen = []

    def spy(x, sigma):
        seen.append(x)
        return 0.5 * x

    spy.in_channels = 1
    MeanShiftPrior(spy, sigma=WIDTH, jacobian=False).gradient(torch.zeros(2, 3, 8, 8))
    first, second = seen[0].unflatten(0, (2, 3))
    assert torch.equal(first, second)  # one seed: both arrays see the same noise
    assert not torch.equal(first[0], first[1])
    assert float(seen[0].std()) == pytest.approx(WIDTH, rel=0.2)


class Taking(torch.nn.Module):
    """Takes images of so many channels and remembers how many it saw."""

    def __init__(self, in_channels):
        super().__init__()
        self.in_channels, self.seen = in_channels, None

    def forward(self, x, sigma):
        self.seen = tuple(x.shape)
        return 0.9 * x


@pytest.mark.parametrize(
    ("takes", "x", "seen"),
    [
        (1, torch.rand(2, 3, 8, 8), (6, 1, 8, 8)),
        (2, torch.rand(2, 2, 8, 8), (2, 2, 8, 8)),
        (2, torch.rand(2, 1, 8, 8, dtype=torch.complex64), (2, 2, 8, 8)),
        (1, torch.rand(2, 1, 8, 8, dtype=torch.complex64), (4, 1, 8, 8)),
        (7, torch.rand(2, 7, 8, 8), (2, 7, 8, 8)),
        (3, torch.rand(2, 7, 8, 8), (14, 3, 8, 8)),
        ([1, 2, 3], torch.rand(2, 2, 8, 8), (2, 2, 8, 8)),
        ([1, 3], torch.rand(2, 4, 8, 8), (8, 1, 8, 8)),
        (2, torch.rand(1, 2, 4, 8, 8), (4, 2, 8, 8)),
    ],
)
def test_a_network_sees_as_many_channels_as_it_takes(takes, x, seen):
    network = Taking(takes)
    denoised = MeanShiftPrior(network, sigma=WIDTH).denoise(x)
    assert network.seen == seen
    assert torch.allclose(denoised, 0.9 * x)


def test_a_network_that_takes_volumes_sees_them_whole():
    network = torch.nn.Conv3d(1, 1, 3, padding=1, bias=False)

    class Volumes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = network

        def forward(self, x, sigma):
            return self.layer(x)

    denoiser = Volumes().requires_grad_(False)
    assert takes_volumes(denoiser) and channels_of(denoiser) == (1,)
    x = torch.rand(2, 2, 5, 6, 7)
    denoised = MeanShiftPrior(denoiser, sigma=WIDTH).denoise(x)
    assert torch.allclose(denoised[:, 1:], network(x[:, 1:]))
    assert MeanShiftPrior(denoiser, sigma=WIDTH).value(x).shape == (2,)


def test_the_channels_of_a_network_that_does_not_state_them_are_those_of_its_layers():
    layers = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 3, 3))
    assert channels_of(layers) == (3,)  # the fourth is the noise level
    assert channels_of(torch.nn.Sequential(torch.nn.Conv2d(9, 3, 3))) is None
    assert channels_of(lambda x, sigma: x) is None


@pytest.mark.parametrize("shape", [(2, 5, 41, 38), (1, 2, 2, 41, 38)])
def test_tiles_give_what_the_whole_array_gives(shape):
    torch.manual_seed(0)
    network = ConvDAE(sigma=WIDTH, depth=4, width=6, batch_norm=False).fold()
    x = torch.rand(shape, dtype=torch.float64)
    for evaluate in ("gradient", "denoise", "value"):
        whole, tiled = (getattr(MeanShiftPrior(network, tile=tile), evaluate)(x) for tile in (None, 16))
        assert torch.allclose(whole, tiled, atol=1e-8)


def test_the_proximal_step_meets_its_optimality_condition(unet):
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    prior = MeanShiftPrior(unet, noise="fixed", sigma=WIDTH, transform=principal_channels(x))
    moved = prior.prox(x, 0.5, iterations=300, tolerance=0.0)
    assert torch.allclose(moved - x, -0.5 * prior.gradient(moved), atol=1e-8)


def test_principal_channels_are_uncorrelated_ordered_and_not_negative():
    x = torch.randn(2, 6, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.einsum("ij,bjhw->bihw", torch.randn(6, 6, dtype=x.dtype), x)
    transform = principal_channels(x)
    channels = transform.forward(x)
    assert torch.allclose(transform.inverse(channels), x)
    flat = channels.flatten(2) - channels.flatten(2).mean(2, keepdim=True)
    covariance = flat @ flat.mT
    variances = covariance.diagonal(dim1=1, dim2=2)
    assert torch.allclose(covariance, torch.diag_embed(variances), atol=1e-8)
    assert bool((variances.diff(dim=1) <= 0).all())
    assert float(channels.min()) > -0.2 and float((channels < 0).double().mean()) < 0.01


def test_a_shifted_and_scaled_image_has_the_energy_of_the_image(unet):
    """The transform is undone exactly: the prior of ``3 x - 2`` in [-2, 1] is that of ``x``, in other units."""
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = MeanShiftPrior(unet, noise="fixed", sigma=WIDTH)
    moved = MeanShiftPrior(unet, noise="fixed", sigma=3 * WIDTH, transform=range_transform(-2.0, 1.0))
    assert torch.allclose(moved.value(3 * x - 2), 9 * plain.value(x))
    assert torch.allclose(moved.gradient(3 * x - 2), 3 * plain.gradient(x))
    assert torch.allclose(moved.denoise(3 * x - 2), 3 * plain.denoise(x) - 2)


def test_a_network_for_one_level_acts_at_that_level_in_the_units_of_the_image():
    network = ConvDAE(sigma=0.2, depth=3, width=4).fold()
    assert MeanShiftPrior(network, transform=range_transform(-1.0, 1.0)).trained_width == pytest.approx(0.4)
    assert energy(network, torch.zeros(1, 3, 8, 8), 0.2).shape == (1,)


def test_what_is_neither_an_image_nor_a_volume_is_refused(unet):
    for shape in ((3, 8, 8), (1, 1, 2, 2, 8, 8)):
        with pytest.raises(ValueError, match=r"x: got shape \(.*\); expected images \(B, C, H, W\) or volumes"):
            MeanShiftPrior(unet).denoise(torch.rand(shape), WIDTH)


@pytest.mark.parametrize("axes", [(-1, -1), (2, 3), (-4, -1), (-1,), "yz", -1])
def test_axes_that_are_no_plane_are_refused(unet, axes):
    with pytest.raises(ValueError, match=r"axes: got .* expected two of -3, -2 and -1"):
        MeanShiftPrior(unet, axes=axes)


def test_a_plane_that_an_image_does_not_have_is_refused(unet):
    with pytest.raises(ValueError, match="axes: got"):
        MeanShiftPrior(unet, axes=(-3, -1)).denoise(torch.rand(1, 3, 8, 8), WIDTH)


def test_an_array_of_a_smooth_phase_becomes_its_magnitude():
    magnitude = 0.2 + torch.rand(2, 1, 32, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    phase = torch.linspace(0, 0.5, 24, dtype=torch.float64).expand(2, 1, 32, 24)
    transform = phase_channels(torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1))
    channels = transform.scale.view(-1, 1, 1, 1) * transform.forward(
        torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)
    ) + transform.offset.view(2, 2, 1, 1)
    assert float((channels[:, :1] - magnitude).abs().mean()) < 0.01
    assert float(channels[:, 1].abs().mean()) < 0.1


@pytest.mark.parametrize("flip", [1, 2, 3])
def test_mirrored_evaluation_keeps_each_pixel_in_its_place(unet, flip):
    """The transform differs between pixels, so the images are mirrored after it, and before it is undone."""
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    prior = MeanShiftPrior(TAKES_THREE, noise="none", sigma=WIDTH).adapted(x)
    assert torch.allclose(prior.gradient(x, flip=flip, jacobian=False), torch.zeros_like(x), atol=1e-12)
    prior = MeanShiftPrior(unet, noise="none", sigma=WIDTH).adapted(x)
    assert prior.transform.matrix.shape == (1, 2, 2, 8, 8)
    assert torch.allclose(prior.gradient(x, flip=flip), prior.gradient(x), atol=0.05)


def test_a_prior_is_adapted_to_channels_that_its_network_does_not_take(unet):
    prior = MeanShiftPrior(unet, sigma=WIDTH)
    assert prior.adapted(torch.rand(1, 3, 8, 8)).transform is None
    assert prior.adapted(torch.rand(1, 1, 8, 8)).transform is None
    assert prior.adapted(torch.rand(1, 5, 4, 8, 8)).transform.matrix.shape == (1, 5, 5)
    assert prior.adapted(torch.rand(1, 1, 8, 8, dtype=torch.complex64)).transform.matrix.shape == (1, 2, 2, 8, 8)
    assert prior.transform is None
    given = MeanShiftPrior(unet, sigma=WIDTH, transform=range_transform(-1, 1))
    assert given.adapted(torch.rand(1, 5, 8, 8)) is given
    empty = torch.zeros(1, 2, 8, 8)
    assert bool(prior.adapted(empty).gradient(empty).isfinite().all())


@pytest.mark.parametrize("channels", [2, 5])
def test_values_that_are_not_finite_do_not_stop_the_transform(unet, channels):
    """A diverged solver says so itself."""
    x = torch.rand(1, channels, 8, 8)
    x[0, 1, 2, 3] = torch.nan
    prior = MeanShiftPrior(unet, sigma=WIDTH).adapted(x)
    assert bool(prior.transform.matrix.isfinite().all() and prior.transform.scale.isfinite().all())
    assert bool(prior.denoise(x).isnan().any())
