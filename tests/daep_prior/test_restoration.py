"""The loop without a toolkit, on a problem whose minimiser is known; what it starts from and what it refuses."""

import dataclasses

import pytest
import torch

from daep_prior import DivergenceError, MeanShiftPrior, Schedule, restore
from daep_prior.back_projection import back_projection, fill_missing
from daep_prior.restoration import data_weight

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
    restore(towards(y, SIGMA), y, prior, plain, callback=lambda k, state: seen.append(state.mean))
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
    found = restore(towards(3 * y - 1, SIGMA), y, prior, schedule, callback=lambda k, state: seen.append(state.mean))
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
    with pytest.raises(DivergenceError, match=r"iteration 0: .* no longer finite"):
        restore(lambda v, gamma: v / 0, y, MeanShiftPrior(shrink), constant(3))


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_a_noise_level_that_is_none_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma"):
        data_weight(sigma)


def test_noise_free_is_a_small_noise():
    assert data_weight(0) == pytest.approx(255**2)
    assert data_weight(0.1) == pytest.approx(100)


# -- heavy ball ------------------------------------------------------------------------------------------------------


def heavy_ball(iterations=400, **changes):
    return dataclasses.replace(constant(iterations, step=5e-3, **changes), solver="heavy-ball")


def test_heavy_ball_ends_at_the_minimiser_too(y):
    prior = MeanShiftPrior(shrink, noise="none")
    found = restore(None, torch.zeros_like(y), prior, heavy_ball(), data_gradient=lambda x: (x - y) / SIGMA**2)
    a, b = 1 / SIGMA**2, 100 / 4
    assert torch.allclose(found, (a * y + b / 2) / (a + b), atol=1e-8)


def test_a_schedule_meets_the_data_term_of_its_solver(y):
    prior = MeanShiftPrior(shrink, noise="none")
    with pytest.raises(ValueError, match="schedule: it is for the heavy-ball solver, which needs the gradient"):
        restore(towards(y, SIGMA), y, prior, heavy_ball())
    with pytest.raises(ValueError, match="schedule: it is for the proximal solver, which needs data_prox"):
        restore(None, y, prior, constant(), data_gradient=torch.zeros_like)


@pytest.mark.parametrize("solver", ["proximal", "heavy-ball"])
def test_the_prior_can_be_confined_to_the_measured_pixels(y, solver):
    """Elsewhere only the data term acts, and where that is zero too a pixel keeps its value."""
    made = dataclasses.replace(heavy_ball(20) if solver == "heavy-ball" else constant(20), measured_only=True)
    measured = torch.ones(1, 1, *y.shape[2:], dtype=y.dtype)
    measured[..., 0, :] = 0
    prior = MeanShiftPrior(shrink, noise="none")
    arguments = {"data_gradient": torch.zeros_like, "measured": measured}
    found = restore(lambda v, gamma: v, y, prior, made, **arguments)
    assert torch.equal(found[..., 0, :], y[..., 0, :])
    assert not torch.allclose(found[..., 1:, :], y[..., 1:, :], atol=1e-3)
    everywhere = restore(lambda v, gamma: v, y, prior, dataclasses.replace(made, measured_only=False), **arguments)
    assert not torch.allclose(everywhere[..., 0, :], y[..., 0, :], atol=1e-3)


# -- the callback ----------------------------------------------------------------------------------------------------


def test_finished_images_stay_and_the_loop_ends_with_the_last(y):
    """Each as it would end alone."""
    lengths = torch.tensor([3, 5])
    prior, calls = MeanShiftPrior(shrink), []

    def follow(k, state):
        calls.append(k)
        return lengths <= k + 1

    found = restore(towards(y, SIGMA), y, prior, constant(9), callback=follow)
    assert calls == [0, 1, 2, 3, 4]
    for i in range(2):
        alone = restore(towards(y[i : i + 1], SIGMA), y[i : i + 1], prior, constant(int(lengths[i])))
        assert torch.allclose(found[i : i + 1], alone, atol=1e-12)


def test_a_result_that_is_not_finite_is_refused(y):
    """Also where the iterates are not checked: what comes after the last of them is."""
    with pytest.raises(DivergenceError, match="no longer finite"):
        restore(towards(y, SIGMA), y, MeanShiftPrior(shrink), constant(2), finish=lambda x: x / 0)


def test_the_result_can_be_finished_before_it_is_clipped(y):
    found = restore(towards(y, SIGMA), y, MeanShiftPrior(shrink), constant(2), finish=lambda x: x + 2)
    assert torch.equal(found, torch.ones_like(y))


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
    filled = fill_missing(ramp * mask, mask)
    assert torch.equal(filled[mask > 0], ramp[mask > 0])
    assert float((filled - ramp).abs().max()) < 0.2
