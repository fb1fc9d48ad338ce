"""The loop without a toolkit, on a problem whose minimiser is known; what it starts from and what it refuses."""

import dataclasses

import pytest
import torch

from daep_prior import MeanShiftPrior, Schedule, restore, schedules
from daep_prior.restoration import data_weight
from daep_prior.start import back_projection, fill_holes

SIGMA = 0.1


def shrink(x, sigma):
    """The optimal denoiser of N(1/2, 1/100): ``x - A_s(x) = s^2 / (s^2 + 1/100) (x - 1/2)``."""
    return 0.5 + (x - 0.5) * 0.01 / (0.01 + torch.as_tensor(sigma) ** 2)


def towards(y, sigma):
    """The proximal step of ``1/(2 sigma^2) ||x - y||^2``."""
    return lambda v, gamma: (v + gamma / sigma**2 * y) / (1 + gamma / sigma**2)


def constant(iterations=200, **changes):
    values = {"kernel_width": 0.1, "prior_weight": 100.0, "data_weight": 1.0, "step": 0.5, "momentum": 0.5}
    columns = {name: (value,) * iterations for name, value in {**values, "average": 1.0, **changes}.items()}
    return Schedule(**columns)


@pytest.fixture
def y():
    return torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_ends_at_the_minimiser(y):
    """Of ``1/(2 sigma^2) ||x - y||^2 + lambda/2 c^2 ||x - 1/2||^2``, ``c = s^2/(s^2 + 1/100) = 1/2``."""
    found = restore(towards(y, SIGMA), torch.zeros_like(y), MeanShiftPrior(shrink, noise="none"), constant())
    a, b = 1 / SIGMA**2, 100 / 4
    assert torch.allclose(found, (a * y + b / 2) / (a + b), atol=1e-10)


def test_the_mean_is_that_of_the_last_iterates(y):
    schedule = constant(6)
    schedule = dataclasses.replace(schedule, average=(1.0, 1.0, 1.0, 1.0, 1 / 2, 1 / 3))
    seen = []
    prior = MeanShiftPrior(shrink, seed=3)
    plain = dataclasses.replace(schedule, average=(1.0,) * 6)
    restore(towards(y, SIGMA), y, prior, plain, callback=lambda k, x: seen.append(x))
    found = restore(towards(y, SIGMA), y, prior, schedule)
    assert len(seen) == 6
    assert torch.allclose(found, torch.stack(seen[3:]).mean(0), atol=1e-12)


def test_the_last_denoising_is_at_the_final_width(y):
    prior = MeanShiftPrior(shrink)
    plain, last = constant(3), dataclasses.replace(constant(3), final_width=0.05)
    a, b = (restore(towards(y, SIGMA), y, prior, schedule) for schedule in (plain, last))
    assert torch.allclose(b, shrink(a, 0.05).clamp(0, 1))
    assert not torch.allclose(a, b)


@pytest.mark.parametrize("clip", [True, False])
def test_iterates_leave_the_range_of_images_unless_the_schedule_clips_them_and_the_result_does_not(y, clip):
    seen, prior = [], MeanShiftPrior(shrink, noise="none")
    schedule = dataclasses.replace(constant(5), clip=clip)
    found = restore(towards(3 * y - 1, SIGMA), y, prior, schedule, callback=lambda k, x: seen.append(x))
    assert all(bool(((x >= 0) & (x <= 1)).all()) == clip for x in seen)
    assert float(found.min()) == 0 and float(found.max()) == 1
    free = restore(towards(3 * y - 1, SIGMA), y, prior, schedule, bounds=None)
    assert float(free.min()) < 0 and float(free.max()) > 1


def test_every_column_of_the_schedule_reaches_the_loop(y):
    """A column that is ignored would leave the image as it is."""
    prior = MeanShiftPrior(shrink)
    usual = restore(towards(y, SIGMA), y, prior, constant(5))
    for name, values in constant(5).columns().items():
        chosen = {"jacobian": 0.0, "flip": 1}  # which cannot be halved
        other = [chosen.get(name, value / 2) for value in values[2:]]
        changed = dataclasses.replace(constant(5), **{name: (*values[:2], *other)})
        assert not torch.allclose(restore(towards(y, SIGMA), y, prior, changed), usual, atol=1e-6), name


def test_the_same_call_gives_the_same_image_and_leaves_the_start_alone(y):
    prior, start = MeanShiftPrior(shrink), y.clone() + 1
    first = restore(towards(y, SIGMA), start, prior, constant(5))
    assert torch.equal(restore(towards(y, SIGMA), start, prior, constant(5)), first)
    assert torch.equal(start, y + 1)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1


def test_bad_input_is_refused_before_the_network_is_asked(y):
    def never(x, sigma):
        raise AssertionError("the network was asked")

    prior = MeanShiftPrior(never)
    for start in (y[0], y.long(), y * float("nan")):
        with pytest.raises(ValueError, match="start"):
            restore(towards(y, SIGMA), start, prior, constant(2))
    with pytest.raises(ValueError, match="prior_weight"):
        restore(towards(y, SIGMA), y, prior, constant(2, prior_weight=0.0))


def test_a_data_term_that_fails_is_reported_with_its_iteration(y):
    with pytest.raises(FloatingPointError, match="iteration 0"):
        restore(lambda v, gamma: v / 0, y, MeanShiftPrior(shrink), constant(3))


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_a_noise_level_that_is_none_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma"):
        data_weight(sigma)


def test_noise_free_is_a_small_noise():
    assert data_weight(0) == pytest.approx(255**2)
    assert data_weight(0.1) == pytest.approx(100)


def test_the_default_schedule_follows_the_denoiser():
    assert schedules.default(0.01) == schedules.annealed(0.01)
    assert schedules.default(0.01, iterations=7) == schedules.annealed(0.01, 7)
    assert schedules.default(0.0).final_width is None
    assert set(schedules.default(0.01, 0.1, 5).kernel_width) == {0.1}


# -- the start -------------------------------------------------------------------------------------------------------


def test_back_projection_undoes_the_scale_and_fills_what_is_not_seen():
    x = torch.full((1, 3, 8, 8), 0.3)
    mask = torch.ones_like(x)
    mask[..., 3:5] = 0
    start = back_projection(2 * mask * (2 * mask * x), 2 * mask * (2 * mask))
    assert torch.allclose(start, x, atol=1e-6)


def test_back_projection_of_nothing_is_finite():
    zero = torch.zeros(1, 1, 4, 4)
    assert bool(back_projection(zero, zero).isfinite().all())


def test_holes_are_filled_from_their_neighbours_and_the_rest_is_kept():
    ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16).clone()
    mask = (torch.rand(ramp.shape, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    filled = fill_holes(ramp * mask, mask)
    assert torch.equal(filled[mask > 0], ramp[mask > 0])
    assert float((filled - ramp).abs().max()) < 0.2
