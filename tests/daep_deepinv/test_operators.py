"""The paper's degradation: exact adjoints, the orientation of the kernel, and refusals that name the argument."""

import deepinv as dinv
import numpy as np
import pytest
import torch

from daep_deepinv import BicubicDownsampling, as_filter, degradation, starting_point
from daep_deepinv.starts.starting_point import measured_region
from daep_prior.tiling.memory import peak_bytes

SIZE = (3, 24, 36)
ADJOINT = 1e-6


def kernel(height=5, width=7):
    """Asymmetric, and of different height and width."""
    return torch.rand(height, width, generator=torch.Generator().manual_seed(0)) ** 2


PHYSICS = {
    "blur, valid": lambda: degradation(kernel()),
    "blur, valid, even kernel": lambda: degradation(kernel(4, 6)),
    "blur, circular": lambda: degradation(kernel(), padding="circular"),
    "blur, Fourier": lambda: degradation(kernel(), padding="circular", img_size=SIZE),
    "blur, replicate": lambda: degradation(kernel(), padding="replicate"),
    "blur, reflect": lambda: degradation(kernel(), padding="reflect"),
    "bicubic x2": lambda: degradation(factor=2),
    "bicubic x3": lambda: degradation(factor=3),
    "bicubic x2, closed": lambda: degradation(factor=2, img_size=SIZE),
    "bicubic x3, closed": lambda: degradation(factor=3, img_size=SIZE),
    "decimation x2": lambda: degradation(factor=2, downsampling="decimate", img_size=SIZE),
    "decimation x3, size not said": lambda: degradation(factor=3, downsampling="decimate"),
    "decimation x5, no multiple": lambda: degradation(factor=5, downsampling="decimate", img_size=SIZE),
    "blur, bicubic x2": lambda: degradation(kernel(), 2, padding="circular"),
    "valid blur, bicubic x2": lambda: degradation(kernel(), 2),
    "valid blur, bicubic x2, size said": lambda: degradation(kernel(), 2, img_size=SIZE),
    "valid blur, decimation x2": lambda: degradation(kernel(), 2, downsampling="decimate", img_size=SIZE),
    "Fourier blur, decimation x2": lambda: degradation(
        kernel(), 2, padding="circular", downsampling="decimate", img_size=SIZE
    ),
    "identity": lambda: degradation(),
}


@pytest.fixture(params=PHYSICS)
def physics(request):
    """In double precision where the operator has numbers of its own."""
    made = PHYSICS[request.param]()
    return made.double() if hasattr(made, "double") else made


@pytest.fixture
def x(images):
    return images(2, *SIZE, dtype=torch.float64)


def inner(a, b):
    return (a * b).flatten(1).sum(1)


# -- the operators -------------------------------------------------------------------------------------------------


def test_the_adjoint_is_the_adjoint(physics, x):
    y = physics.A(x)
    u = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    forward, backward = inner(y, u), inner(x, physics.A_adjoint(u))
    assert torch.allclose(forward, backward, rtol=ADJOINT, atol=ADJOINT)


def test_the_proximal_step_satisfies_its_optimality_condition(physics, x):
    """``gamma A^T (A v - y) + v - z = 0``: to rounding where it is closed, to the tolerance of CG elsewhere."""
    gamma = 2.0
    y = physics.A(x)
    z = torch.rand(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(2))
    physics.tol, physics.max_iter = 1e-9, 200
    v = physics.prox_l2(z, y, gamma=gamma)
    condition = gamma * physics.A_adjoint(physics.A(v) - y) + v - z
    assert v.shape == x.shape
    assert condition.abs().max() < 1e-5


def test_images_of_a_batch_do_not_mix(physics, x):
    y = physics.A(x)
    for i in range(2):
        assert torch.allclose(physics.A(x[i : i + 1])[0], y[i], atol=1e-10)


def test_a_constant_image_stays_constant(physics, x):
    y = physics.A(torch.full_like(x, 0.5))
    assert torch.allclose(y, torch.full_like(y, 0.5), atol=1e-6)


def test_the_blur_is_a_true_convolution():
    """MATLAB's ``conv2(image, kernel, 'valid')``: the kernel is flipped; a point spreads into the kernel itself."""
    k = kernel() / kernel().sum()
    point = torch.zeros(1, 1, 24, 30)
    point[..., 12, 14] = 1
    spread = degradation(kernel()).A(point)
    rows, columns = spread[0, 0].nonzero(as_tuple=True)
    assert torch.allclose(spread[0, 0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1], k, atol=1e-7)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_exact_bicubic_downsampling_is_deepinvs(x, factor):
    ours, theirs = BicubicDownsampling(SIZE, factor), dinv.physics.DownsamplingMatlab(factor=factor)
    single = x.float()
    assert (ours.A(single) - theirs.A(single)).abs().max() < 1e-6
    y = theirs.A(single)
    assert (ours.A_adjoint(y) - theirs.A_adjoint(y)).abs().max() < 1e-6


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 8])
def test_bicubic_downsampling_solves_its_proximal_step_up_to_the_border(factor):
    physics = BicubicDownsampling((3, 4 * factor, 7 * factor), factor).double()
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, 3, 4 * factor, 7 * factor, dtype=torch.float64, generator=generator)
    y = torch.randn(2, 3, 4, 7, dtype=torch.float64, generator=generator)
    gamma = torch.tensor([0.5, 50.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    for start, centre in ((z, z), (0.5, 0.5), (None, 0.0)):
        v = physics.prox_l2(start, y, gamma)
        optimality = gamma * physics.A_adjoint(physics.A(v) - y) + v - centre
        assert optimality.abs().max() < 1e-6 * float(gamma.max())  # the matrices are float32
    assert float((physics.A(z) * y).sum()) == pytest.approx(float((physics.A_adjoint(y) * z).sum()), abs=1e-9)


@pytest.mark.parametrize("factor", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 1)])
def test_bicubic_downsampling_to_a_pixel_mirrors_as_often_as_it_must(factor, size):
    """deepinv's operator needs an image larger than its kernel."""
    height, width = (n * factor for n in size)
    physics = BicubicDownsampling((3, height, width), factor)
    x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    mirrored = torch.cat([x, x.flip(2)] * 9, 2)
    mirrored = torch.cat([mirrored, mirrored.flip(3)] * 9, 3)
    larger = dinv.physics.DownsamplingMatlab(factor=factor).A(mirrored)
    middle = larger[..., 8 * size[0] : 9 * size[0], 8 * size[1] : 9 * size[1]]
    assert torch.allclose(physics.A(x), middle, atol=1e-6)


def test_bicubic_downsampling_of_a_photograph_needs_a_few_copies_of_it():
    """At 12 megapixels the matrices of a dense decomposition alone would be the image's size."""
    physics = BicubicDownsampling((3, 600, 800), 2)
    x = torch.rand(1, 3, 600, 800, generator=torch.Generator().manual_seed(0))
    image = x.numel() * x.element_size()
    assert sum(b.numel() * b.element_size() for b in physics.buffers()) < image / 2
    assert peak_bytes(lambda: physics.prox_l2(x, physics.A(x), 1.0)) < 5 * image


def test_blur_and_reduction_together_are_deepinvs(x):
    blurred_and_reduced = degradation(kernel(), 2, img_size=(3, 28, 32))
    theirs = dinv.physics.DownsamplingMatlab(factor=2) * degradation(kernel())
    image = torch.nn.functional.interpolate(x.float(), (28, 32))
    assert torch.allclose(blurred_and_reduced.A(image), theirs.A(image), atol=1e-6)


def test_exact_bicubic_downsampling_has_an_exact_pseudo_inverse(x):
    physics = BicubicDownsampling(SIZE, 3)
    y = physics.A(x.float())
    back = physics.A_dagger(y)
    assert torch.allclose(physics.A(back), y, atol=1e-5)
    assert torch.allclose(physics.A_dagger(physics.A(back)), back, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "name"), [({"sigma": 0.1}, "GaussianNoise"), ({}, "ZeroNoise")], ids=["noisy", "noise-free"]
)
@pytest.mark.parametrize("factor", [1, 2])
def test_the_physics_knows_its_noise(arguments, name, factor):
    physics = degradation(kernel(), factor, padding="circular", **arguments)
    assert type(physics.noise_model).__name__ == name
    x = torch.full((4, *SIZE), 0.5)
    assert float((physics(x) - physics.A(x)).std()) == pytest.approx(arguments.get("sigma", 0), rel=0.05, abs=1e-7)


# -- kernels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        kernel(),
        kernel().double(),
        kernel().numpy(),
        kernel().tolist(),
        kernel()[None, None],
        (kernel() * 1000).requires_grad_(),
    ],
    ids=["tensor", "double", "numpy", "list", "filter", "unscaled, with gradient"],
)
def test_every_form_of_a_kernel_gives_the_same_filter(given):
    made = as_filter(given)
    assert made.shape == (1, 1, 5, 7)
    assert made.dtype == torch.float32
    assert not made.requires_grad
    assert float(made.sum()) == pytest.approx(1)
    assert torch.allclose(made[0, 0], kernel() / kernel().sum())


def test_an_eight_bit_kernel_image_is_scaled_to_one():
    assert float(as_filter(np.arange(9, dtype=np.uint8).reshape(3, 3)).sum()) == pytest.approx(1)


BAD_KERNELS = {
    "sums to zero": (torch.zeros(3, 3), "sum to 0"),
    "sums to less": (-torch.ones(3, 3), "sum to -9"),
    "NaN": (torch.full((3, 3), float("nan")), "NaN"),
    "infinite": (torch.full((3, 3), float("inf")), "infinite"),
    "a vector": (torch.ones(3), r"shape \(3,\)"),
    "three filters": (torch.ones(1, 3, 3, 3), r"shape \(1, 3, 3, 3\)"),
    "empty": (torch.ones(0, 3), r"shape \(0, 3\)"),
    "complex": (torch.ones(3, 3) + 1j, "complex"),
}


@pytest.mark.parametrize("case", BAD_KERNELS)
def test_an_unusable_kernel_is_refused_by_name(case):
    bad, message = BAD_KERNELS[case]
    for use in (as_filter, degradation):
        with pytest.raises(ValueError, match=rf"kernel: .*{message}"):
            use(bad)


def test_the_users_kernel_is_not_modified():
    given = kernel() * 3
    before = given.clone()
    degradation(given)
    assert torch.equal(given, before)


@pytest.mark.parametrize("padding", ["valid", "circular"])
def test_a_kernel_larger_than_the_image_is_refused(padding):
    with pytest.raises(ValueError, match=r"kernel: 5 x 37 is larger than the image, 24 x 36"):
        degradation(kernel(5, 37), padding=padding, img_size=SIZE)


BAD_ARGUMENTS = {
    "factor of zero": ({"factor": 0}, "factor: got 0"),
    "factor of one and a half": ({"factor": 1.5}, "factor: got 1.5"),
    "factor not a number": ({"factor": float("nan")}, "factor: got nan"),
    "factor that does not divide": ({"factor": 5, "img_size": SIZE}, "24 x 36 is not a multiple of factor 5"),
    "negative noise": ({"sigma": -0.1}, "sigma: got -0.1"),
    "noise not a number": ({"sigma": float("nan")}, "sigma: got nan"),
    "infinite noise": ({"sigma": float("inf")}, "sigma: got inf"),
    "unknown padding": ({"padding": "zeros"}, "padding: got 'zeros'"),
    "unknown downsampling": ({"downsampling": "nearest"}, "downsampling: got 'nearest'"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_a_bad_argument_is_refused_by_name(case):
    arguments, message = BAD_ARGUMENTS[case]
    with pytest.raises(ValueError, match=message):
        degradation(**arguments)


# -- where the solvers start ---------------------------------------------------------------------------------------


def test_the_start_has_the_shape_of_the_image_and_no_hole(physics, x):
    y = physics.A(x)
    before = y.clone()
    start = starting_point(y, physics)
    assert start.shape == x.shape
    assert bool(start.isfinite().all())
    assert torch.equal(y, before)
    assert (start - x).abs().mean() < 0.2


def test_a_valid_blur_starts_from_its_measurement_padded_by_replication(x):
    physics = degradation(kernel())
    y = physics.A(x.float())
    start = starting_point(y, physics)
    assert torch.equal(start[..., 2:-2, 3:-3], y)
    assert torch.equal(start[..., 0, 0], y[..., 0, 0])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (4, 6)])
def test_the_start_of_a_valid_blur_is_not_shifted(x, height, width):
    """A kernel with its weight in the centre does nothing but cut the border; the start must put it back in place."""
    centred = torch.zeros(height, width)
    centred[height // 2, width // 2] = 1
    physics = degradation(centred)
    y = physics.A(x.float())
    inside = measured_region(y, physics).bool().expand_as(x)
    assert torch.allclose(starting_point(y, physics)[inside], x.float()[inside], atol=1e-6)


def test_the_measured_region_is_what_a_valid_blur_measures(x):
    physics = degradation(kernel())
    y = physics.A(x.float())
    region = measured_region(y, physics)
    assert region.shape == (1, 1, *SIZE[1:])
    assert int(region.sum()) == y.shape[-1] * y.shape[-2]
    assert measured_region(y, degradation(kernel(), padding="circular")) is None


def test_super_resolution_starts_from_bicubic_upsampling(x):
    physics = degradation(factor=3)
    start = starting_point(physics.A(x.float()), physics)
    assert (start - x.float()).abs().mean() < 0.05


@pytest.mark.parametrize("missing", [0.3, 0.9])
def test_missing_pixels_start_from_their_neighbours(images, missing):
    x = images(2, 3, 21, 17)
    mask = (torch.rand(2, 1, 21, 17, generator=torch.Generator().manual_seed(0)) > missing).float()
    physics = dinv.physics.Inpainting((3, 21, 17), mask=mask)
    start = starting_point(physics(x), physics)
    known = mask.bool().expand_as(x)
    assert torch.equal(start[known], x[known])
    assert (start - x).abs().mean() < 0.12


def test_an_image_with_nothing_known_starts_finite():
    physics = dinv.physics.Inpainting((3, 8, 8), mask=torch.zeros(1, 1, 8, 8))
    assert bool(starting_point(torch.zeros(1, 3, 8, 8), physics).isfinite().all())
