"""Blur kernels: shape, similarity, and the two least-squares steps of the blind estimation."""

import pytest
import torch

from daep_prior.blind.fourier import convolved, gradients, transfer
from daep_prior.blind.image_step import image_step
from daep_prior.blind.kernel_shape import (
    brightest,
    centred,
    cleaned,
    connected_parts,
    fitted,
    moved_into,
    one_pixel,
    reach,
    spread,
    trimmed,
    window_of,
)
from daep_prior.blind.kernel_step import gradient_misfit, kernel_step
from daep_prior.blind.one_start import one_round
from daep_prior.blind.pyramid import scales
from daep_prior.blind.region import textured_region
from daep_prior.blind.settings import BlindSettings
from daep_prior.blind.similarity import similarity


@pytest.fixture
def kernel():
    """A hook, not symmetric, (7, 7), sum 1."""
    k = torch.zeros(7, 7)
    k[1, 1:5], k[1:6, 5] = 1.0, 2.0
    return centred(k)


@pytest.fixture
def sharp():
    return torch.rand(1, 1, 40, 44, generator=torch.Generator().manual_seed(0))


def measured(sharp, kernel):
    """A blurred image on the grid of the sharp one, its unmeasured border wrong, and where it is known."""
    known = torch.zeros_like(sharp)
    known[..., 3:-3, 3:-3] = 1
    return torch.where(known > 0, convolved(transfer(kernel, sharp.shape[-2:]), sharp), 0.3), known


# -- shape -----------------------------------------------------------------------------------------------------------


def test_a_transfer_function_is_a_convolution_with_the_centre_at_the_origin(sharp, kernel):
    blurred = convolved(transfer(kernel, sharp.shape[-2:]), sharp)
    direct = torch.nn.functional.conv2d(sharp, kernel.flip(0, 1)[None, None])
    assert torch.allclose(blurred[..., 3:-3, 3:-3], direct, atol=1e-5)


def test_a_centred_kernel_has_its_centre_of_mass_in_the_middle_pixel():
    k = torch.zeros(9, 9)
    k[1, 2], k[2, 2] = 3.0, 1.0
    moved = centred(k)
    assert moved[4, 4] == 0.75 and moved.sum() == 1
    assert reach(moved) == 1 and trimmed(moved).shape == (3, 3)


def test_supports_are_cropped_and_padded_around_the_same_centre(kernel):
    assert torch.equal(fitted(fitted(kernel, 11), 7), kernel)


def test_small_values_and_small_islands_are_removed():
    k = torch.zeros(11, 11)
    k[5, 4:7], k[0, 0], k[5, 7] = 1.0, 0.1, 0.001
    kept = cleaned(k, 0.01, 0.1)
    assert int((kept > 0).sum()) == 3
    assert torch.allclose(kept[5, 4:7], torch.full((3,), 1 / 3))


def test_a_kernel_is_kept_inside_the_window_that_holds_most_of_it():
    k = torch.zeros(9, 9)
    k[0, 4], k[4, 4], k[8, 4] = 0.1, 0.7, 0.2
    assert torch.equal(brightest(k, 9), k)
    kept = brightest(k, 5)
    assert kept.shape == (9, 9) and kept[4, 4] == 0.7 and kept[8, 4] == 0.2 and kept[0, 4] == 0
    moved = moved_into(k, 5)
    assert moved.shape == (5, 5) and moved.sum() == kept.sum() and torch.equal(moved_into(k, 11), fitted(k, 11))


def test_the_faint_rest_of_a_trail_with_a_bright_end_is_kept():
    k = torch.full((1, 61), 0.006)
    k[0, :8] = 1.0
    k = torch.nn.functional.pad(k, (40, 40, 70, 70))
    assert int((cleaned(k, 0.01, 0) > 0).sum()) == 8
    assert int((cleaned(k, 0.01, 0, typical=0.5) > 0).sum()) == 61
    even = torch.ones(5, 5)
    even[0, 0] = 0.009
    assert int((cleaned(even, 0.01, 0, typical=2) > 0).sum()) == 24, "all values alike: as without"


def test_a_trail_with_most_of_its_light_at_one_end_stays_whole():
    # the settings ask for the eleven pixels that it has; its centre of mass is not in their middle
    true = torch.full((11,), 0.05)
    true[0] = 0.5
    true = centred(torch.nn.functional.pad(true[None], (10, 10, 15, 15)))
    assert reach(true) > 5
    sharp = torch.rand(1, 1, 60, 64, generator=torch.Generator().manual_seed(0))
    y = convolved(transfer(true, sharp.shape[-2:]), sharp)[..., 10:-10, 10:-10]
    settings = BlindSettings(size=11, ridge=0.1)
    scale = scales(y, settings)[-1]
    kernel, image, generator = trimmed(true), scale.y, torch.Generator().manual_seed(0)
    exact = sharp[..., 5:-5, 5:-5]
    for _ in range(4):
        kernel, image = one_round(scale, kernel, image, lambda x, s: exact, settings, 0.1, 0.04, True, generator)
    assert int((kernel.sum(0) > 0).sum()) == 11 and similarity(kernel, true) > 0.99


def test_an_empty_kernel_becomes_one_pixel():
    assert torch.equal(cleaned(-torch.ones(5, 5), 0.01, 0.1), one_pixel(5))


def test_parts_that_touch_at_a_corner_are_connected():
    mask = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]], dtype=torch.bool)
    labels = connected_parts(mask)
    assert labels[0, 0] == labels[1, 1] != labels[0, 3] == labels[1, 3]
    assert labels[2].sum() == 0


def test_spread_is_the_root_mean_square_distance_from_the_centre():
    k = torch.zeros(7, 7)
    k[3, 1] = k[3, 5] = 0.5
    assert spread(k) == pytest.approx(2)
    assert spread(one_pixel()) == 0


def test_similarity_ignores_the_position_and_sees_another_shape(kernel):
    moved = fitted(kernel, 15).roll((2, -3), (0, 1))
    assert similarity(kernel, moved) == pytest.approx(1, abs=1e-4)
    assert similarity(kernel, kernel.flip(0)) < 0.9


# -- least squares ---------------------------------------------------------------------------------------------------


def test_the_kernel_step_finds_the_kernel_between_a_sharp_and_a_blurred_image(sharp, kernel):
    y, known = measured(sharp, kernel)
    found = one_pixel(9)
    for _ in range(8):  # each fills the unmeasured gradients better
        found = kernel_step(sharp, y, known, found, ridge=0.0, iterations=100)
    assert torch.allclose(found, fitted(kernel, 9), atol=5e-3)
    assert (found >= 0).all()


def test_the_kernel_step_is_the_minimiser_of_its_objective(sharp, kernel):
    """Optimality: the gradient is 0 where the kernel is positive, and not negative where it is 0."""
    y, known = measured(sharp, kernel)
    whole = torch.ones_like(known)
    blurred = convolved(transfer(kernel, sharp.shape[-2:]), sharp)
    ridge = 50.0
    found = kernel_step(sharp, blurred, whole, one_pixel(7), ridge, iterations=3000).double().requires_grad_()
    inner = gradients(sharp.double())
    fit = convolved(transfer(found, sharp.shape[-2:]), inner) - gradients(blurred.double())
    seam = torch.ones_like(fit)
    seam[:, 0, :, 0] = seam[:, 1, 0, :] = 1
    objective = 0.5 * (seam * fit).square().sum() + ridge / 2 * found.square().sum()
    (gradient,) = torch.autograd.grad(objective, found)
    positive = found.detach() > 1e-4
    assert gradient[positive].abs().max() < 2e-3 * ridge
    assert gradient[~positive].min() > -2e-3 * ridge


def test_a_kernel_step_on_strong_edges_solves_its_equation(sharp, kernel):
    """``w g * (g * k - grad y) + rho k`` is 0 where the kernel is positive, and not negative where it is 0."""
    blurred, ridge, edges = convolved(transfer(kernel, sharp.shape[-2:]), sharp), 5.0, 0.1
    found = one_pixel(7)
    for _ in range(20):
        found = kernel_step(sharp, blurred, torch.ones_like(sharp), found, ridge, 500, edges)
    squares = gradients(sharp).square().sum(1, keepdim=True)
    threshold = squares.flatten().sort().values[round(0.9 * squares.numel()) - 1]
    strong = squares / (squares + threshold) * gradients(sharp)
    assert ((squares > threshold).sum() / squares.numel()).item() == pytest.approx(edges, abs=0.001)
    misfit = convolved(transfer(found, sharp.shape[-2:]), gradients(sharp)) - gradients(blurred)
    lags = torch.fft.irfft2((torch.fft.rfft2(strong).conj() * torch.fft.rfft2(misfit)).sum(1), s=sharp.shape[-2:])[0]
    residual = lags.roll((3, 3), (0, 1))[:7, :7] + ridge * found
    positive = found > 1e-4
    assert residual[positive].abs().max() < 2e-3 * ridge
    assert residual[~positive].min() > -2e-3 * ridge


def test_weak_edges_that_are_wrong_hardly_matter_beside_strong_ones(kernel):
    """A block under texture; the texture of the image is not that of the photograph."""
    texture = 0.05 * torch.randn(2, 1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    block = torch.zeros(1, 1, 64, 64)
    block[..., 16:40, 20:50] = 1
    blurred, whole = convolved(transfer(kernel, (64, 64)), block + texture[0]), torch.ones_like(block)
    every, strong = (kernel_step(block + texture[1], blurred, whole, one_pixel(7), 1, 200, e) for e in (1.0, 0.05))
    assert (strong - kernel).square().sum() < 0.35 * (every - kernel).square().sum()


def test_a_kernel_step_with_several_images_minimises_the_mean_of_their_objectives(sharp, kernel):
    images = sharp + 0.2 * torch.randn(3, *sharp.shape[1:], generator=torch.Generator().manual_seed(1))
    blurred, whole, ridge = convolved(transfer(kernel, sharp.shape[-2:]), sharp), torch.ones_like(sharp), 5.0

    def objective(k):
        misfit = convolved(transfer(k, sharp.shape[-2:]), gradients(images)) - gradients(blurred)
        return float(0.5 * misfit.square().sum() / len(images) + ridge / 2 * k.square().sum())

    def found(images):
        return kernel_step(images, blurred, whole, one_pixel(7), ridge, 1000)

    least = objective(found(images))
    assert all(least < objective(found(one[None])) for one in images)
    assert least < objective(found(images.mean(0, keepdim=True)))


@pytest.mark.parametrize("edges", [1.0, 0.1])
def test_a_kernel_step_with_equal_images_is_that_with_one(sharp, kernel, edges):
    y, known = measured(sharp, kernel)
    three, one = (
        kernel_step(images, y, known, one_pixel(7), 1.0, 100, edges) for images in (sharp.expand(3, -1, -1, -1), sharp)
    )
    assert torch.allclose(three, one, atol=1e-5)


@pytest.mark.parametrize("edges", [1.0, 0.1])
def test_a_kernel_step_stays_in_its_support(sharp, kernel, edges):
    y, known = measured(sharp, kernel)
    support = torch.ones(7, 7)
    support[3] = 0
    found = kernel_step(sharp, y, known, one_pixel(7), 1.0, 100, edges, support)
    assert not found[3].any() and (found[:3].any() and found[4:].any())


def test_the_misfit_is_small_for_the_true_kernel_alone(sharp, kernel):
    y, known = measured(sharp, kernel)
    assert gradient_misfit(sharp, y, known, kernel) < 1e-5
    assert gradient_misfit(sharp, y, known, kernel.flip(0)) > 0.01


def test_the_image_step_minimises_its_objective_over_the_measured_pixels(sharp, kernel):
    y, known = measured(sharp, kernel)
    near, weight = sharp + 0.1, 0.5
    x = image_step(near, y, known, kernel, weight, fills=200).double().requires_grad_()
    misfit = known * (convolved(transfer(kernel.double(), sharp.shape[-2:]), x) - y)
    objective = 0.5 * misfit.square().sum() + weight / 2 * (x - near).square().sum()
    (gradient,) = torch.autograd.grad(objective, x)
    assert gradient.abs().max() < 1e-5


# -- scales and region -----------------------------------------------------------------------------------------------


def test_scales_go_from_a_kernel_of_three_pixels_to_the_photograph():
    levels = scales(torch.rand(1, 1, 64, 80), BlindSettings(size=15))
    assert levels[0].size == 3 and levels[-1].size == 15
    assert levels[-1].factor == 1 and levels[-1].y.shape == (1, 1, 78, 94)
    assert all(level.known.sum() == level.inside(level.y).numel() for level in levels)


def test_the_region_of_a_large_photograph_is_where_the_edges_are():
    y = torch.full((1, 1, 900, 1000), 0.5)
    y[..., 450:850, 550:950] = torch.rand(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    rows, columns = textured_region(y, 15)
    assert 400 <= rows.start <= 510 and 500 <= columns.start <= 610
    assert rows.stop - rows.start == columns.stop - columns.start == 384


def test_saturated_lights_are_avoided():
    y = torch.rand(1, 1, 300, 1200, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    y[..., :500] = (y[..., :500] > 0.5).float()  # stronger edges, all clipped
    _, columns = textured_region(y, 15)
    assert columns.start >= 440


def test_the_window_of_most_light_leaves_out_faint_values_at_the_ends():
    kernel = torch.zeros(21, 21)
    kernel[10, 7:12] = 0.19
    kernel[2, 3] = kernel[18, 17] = 0.025
    assert [window_of(kernel, share) for share in (0.1, 0.9, 0.94, 0.98)] == [1, 5, 5, 17]
    assert window_of(kernel, 1.1) == 21
