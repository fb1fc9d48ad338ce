"""The numbers of the paper, and that a schedule says no to what makes no sense."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from daep_prior import Schedule, schedules

COLUMNS = ("kernel_width", "prior_weight", "data_weight", "step", "momentum", "average")
MADE = {
    "paper": lambda n: schedules.paper(2.55 / 255, iterations=n),
    "paper_sr": lambda n: schedules.paper_sr(factor=3, iterations=n),
    "annealed": lambda n: schedules.annealed(iterations=n),
    "annealed at strong noise": lambda n: schedules.annealed(25 / 255, iterations=n),
    "best": lambda n: schedules.best(2.55 / 255, iterations=n),
    "fast": lambda n: schedules.fast(2.55 / 255, iterations=n),
    "fixed_width": lambda n: schedules.fixed_width(iterations=n),
    "missing pixels": lambda n: schedules.missing_pixels(iterations=n),
    "missing pixels and noise": lambda n: schedules.missing_pixels(25 / 255, n),
}


@pytest.fixture(params=MADE)
def make(request):
    return MADE[request.param]


def constant(**changes):
    sensible = dict(zip(COLUMNS, (0.1, 1.0, 1.0, 0.1, 0.5, 1.0), strict=True))
    return {name: (value,) * 3 for name, value in {**sensible, **changes}.items()}


# -- the paper's numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [2.55 / 255, 7.65 / 255, 12.75 / 255])
def test_paper_weights_are_those_of_equation_7(sigma):
    schedule = schedules.paper(sigma)
    weight = 2 * 6.875 / (25 / 255) ** 2
    assert len(schedule) == 300
    assert set(schedule.kernel_width) == {25 / 255}
    assert schedule.prior_weight == pytest.approx((weight,) * 300)
    assert set(schedule.data_weight) == {1.0}
    assert set(schedule.momentum) == {0.9}
    # a step of 0.1 on the objective whose two weights sum to one
    assert schedule.step[0] * (weight + 1 / sigma**2) == pytest.approx(0.1)
    assert set(schedule.average) == {1.0}


def test_paper_super_resolution_trades_the_prior_for_the_data():
    """The data term is ``1/2 ||Kx - y||^2``, a schedule's is divided by the squared noise level."""
    sigma = 2 / 255
    schedule = schedules.paper_sr(sigma, factor=3)
    assert len(schedule) == 300
    for k in (1, 4, 100, 300):
        assert schedule.prior_weight[k - 1] == pytest.approx(1 / math.sqrt(k))
        assert schedule.data_weight[k - 1] == pytest.approx(9 * sigma**2 * (1 - 1 / math.sqrt(k)))
    assert set(schedule.step) == {0.1}
    assert set(schedule.momentum) == {0.9}


def test_a_narrower_network_gets_the_weight_of_its_own_width():
    assert schedules.paper(0.01, width=0.05).prior_weight[0] == pytest.approx(2 * 6.875 / 0.05**2)


@pytest.mark.parametrize("sigma", [0.0, 1e-9])
def test_a_noise_free_measurement_gives_finite_numbers(sigma):
    schedule = schedules.paper(sigma, iterations=3)
    assert all(math.isfinite(v) and v > 0 for v in schedule.step)


def test_a_phase_runs_geometrically_between_its_ends():
    phase = schedules.Phase(20, (0.2, 0.02), (9.0, 6.0), (0.9, 0.2), (0.6, 0.1), gradient=True)
    schedule = schedules.sequence(phase)
    s, weight = schedule.kernel_width, schedule.prior_weight
    assert s[0] == pytest.approx(0.2)
    assert s[-1] == pytest.approx(0.02)
    ratios = [b / a for a, b in zip(s, s[1:], strict=False)]
    assert max(ratios) == pytest.approx(min(ratios))
    assert weight[0] == pytest.approx(9 / (2 * 0.2**2))
    assert weight[-1] == pytest.approx(6 / (2 * 0.02**2))
    differences = [b - a for a, b in zip(schedule.momentum, schedule.momentum[1:], strict=False)]
    assert max(differences) == pytest.approx(min(differences)) == pytest.approx(-0.5 / 19)


def test_the_cheap_steps_come_first_and_the_gradient_last():
    schedule = schedules.annealed(2.55 / 255)
    assert list(schedule.jacobian) == sorted(schedule.jacobian) and set(schedule.jacobian) == {0, 1}
    assert schedule.noise == schedule.jacobian  # what has no Jacobian is evaluated where the iterate is
    assert set(schedules.fast(0.01).jacobian) == {0}
    assert schedules.annealed(0.01, iterations=1).jacobian == (1,)


def test_a_noise_free_measurement_is_not_denoised_at_the_end():
    for preset in (schedules.annealed, schedules.fast, schedules.best):
        assert preset(0.0).final_width is None
        assert preset(2.55 / 255).final_width > 0


@pytest.mark.parametrize("preset", [schedules.annealed, schedules.fast])
def test_schedules_change_steadily_with_the_noise(preset):
    """Between two levels that were measured lies a schedule between theirs; beyond them nothing is extrapolated."""
    low, between, high = (preset(s / 255) for s in (2.55, 4.4, 7.65))
    assert low.prior_weight[0] > between.prior_weight[0] > high.prior_weight[0]
    assert low.final_width < between.final_width < high.final_width
    assert preset(1.0) == preset(12.75 / 255)
    assert preset(1e-9) == low


def test_denoising_is_one_mean_shift_step_without_data():
    schedule = schedules.denoising(0.1)
    assert len(schedule) == 1
    assert schedule.kernel_width == (0.1,) and schedule.step == (1,)
    assert schedule.data_weight == schedule.noise == schedule.jacobian == schedule.momentum == (0,)


def test_holes_are_filled_from_afar_and_then_at_one_width_above_the_noise():
    schedule = schedules.missing_pixels()
    widths = schedule.kernel_width
    assert schedule.dual and schedule.final_width is None and len(schedule) == 30
    assert list(widths) == sorted(widths, reverse=True)
    assert widths[0] == pytest.approx(70 / 255)
    assert set(widths[10:]) == {widths[-1]} and widths[-1] == pytest.approx(24 / 255)
    assert set(schedule.jacobian) == set(schedule.noise) == {0}
    assert [k for k, share in enumerate(shares(schedule)) if share > 1e-12] == list(range(14, 30))
    assert shares(schedules.missing_pixels(iterations=8))[-1] == 1
    assert next(k for k, share in enumerate(shares(schedules.missing_pixels(iterations=60))) if share > 1e-12) == 20
    noisy = schedules.missing_pixels(25 / 255)
    assert min(noisy.kernel_width) == pytest.approx(50 / 255)
    assert noisy.final_width == pytest.approx(12.5 / 255)


def test_only_exact_measurements_have_a_dual_variable():
    noisy = [preset(0.01) for preset in (schedules.annealed, schedules.best, schedules.fast)]
    made = (schedules.annealed(), schedules.best(), *noisy, schedules.paper(0.1), schedules.fixed_width())
    assert not any(schedule.dual for schedule in made)
    assert schedules.fast().dual


def test_iterates_are_clipped_but_for_noise_of_the_annealed_presets():
    assert not schedules.fast(0.01).clip and schedules.fast().clip
    assert not schedules.annealed(0.01).clip and schedules.annealed().clip and schedules.paper(0.1).clip


def shares(schedule):
    """The weight of each iterate in the result, the running mean unrolled."""
    share = [0.0] * len(schedule)
    for k, weight in enumerate(schedule.average):
        share = [(1 - weight) * s for s in share]
        share[k] += weight
    assert sum(share) == pytest.approx(1)
    return share


@pytest.mark.parametrize(("preset", "sweeps"), [(schedules.annealed, 1), (schedules.best, 3)])
@pytest.mark.parametrize("sigma", [0.0, 0.01])
def test_the_result_is_the_mean_of_the_last_iterates_of_each_sweep_and_of_fast(preset, sweeps, sigma):
    schedule = preset(sigma)
    averaged = {k for k, share in enumerate(shares(schedule)) if share > 1e-12}
    steps, fast = schedule.jacobian.count(0), 8
    narrow = [k for k in range(steps, len(schedule)) if schedule.kernel_width[k] == min(schedule.kernel_width[steps:])]
    assert len(narrow) == sweeps
    last = {k - back for k in narrow for back in range(6)}
    counts = dict.fromkeys(last, 1) | ({fast - 1: 3} if sigma > 0 else {})
    assert averaged == set(counts)
    expected = {k: count / sum(counts.values()) for k, count in counts.items()}
    assert {k: shares(schedule)[k] for k in averaged} == pytest.approx(expected)


@pytest.mark.parametrize(("sigma", "annealed", "best"), [(0.0, 40, 114), (0.01, 36, 72)])
def test_the_length_of_the_presets(sigma, annealed, best):
    assert len(schedules.annealed(sigma)) == annealed
    assert len(schedules.best(sigma)) == best
    assert schedules.best(sigma).kernel_width[:annealed] == schedules.annealed(sigma).kernel_width


def test_a_noisy_measurement_first_sees_the_fast_preset():
    fast = schedules.fast(0.02).columns()
    del fast["average"]
    for preset in (schedules.annealed, schedules.best):
        columns = preset(0.02).columns()
        assert {name: columns[name][:8] for name in fast} == fast


@pytest.mark.parametrize(("task", "length"), [("circular blur", 17), ("strong circular blur", 26)])
def test_a_circular_blur_has_numbers_of_its_own_and_no_second_phase(task, length):
    fast, other = schedules.preset("fast", 0.02, task=task), schedules.fast(0.02)
    whole = schedules.preset("annealed", 0.02, task=task)
    assert len(fast) == 8 and fast.prior_weight != other.prior_weight
    assert len(whole) == length and whole.jacobian == (0.0,) * 8 + (1.0,) * (length - 8)
    assert whole.kernel_width[:8] == fast.kernel_width and whole.prior_weight[:8] == fast.prior_weight
    assert whole.final_width == schedules.annealed(0.02).final_width
    assert len(schedules.preset("annealed", 0.02, task=task, iterations=5)) == 5
    assert schedules.preset("best", 0.02, task=task) == schedules.best(0.02)


def test_few_gradients_start_narrower_and_average_less():
    short, long = (schedules.annealed(0.02, task=task) for task in ("circular blur", "strong circular blur"))
    assert short.kernel_width[8] < long.kernel_width[8] and short.kernel_width[-1] == long.kernel_width[-1]
    assert sum(a > 0 for a in short.average[8:]) == 3
    assert sum(a > 0 for a in long.average[8:]) == 6


@pytest.mark.parametrize("task", ["circular blur", "strong circular blur"])
def test_a_circular_blur_without_noise_or_numbers_is_like_any_other(task):
    table = replace(schedules.shipped_settings(), circular={})
    for name in ("fast", "annealed"):
        assert schedules.preset(name, 0.0, task=task) == schedules.preset(name, 0.0)
        assert schedules.preset(name, 0.02, task=task, settings=table) == schedules.preset(name, 0.02)


def test_a_phase_can_weigh_more_in_the_mean():
    phase = schedules.Phase(2, (0.1, 0.1), (1.0, 1.0), (0.5, 0.5), (0.0, 0.0), gradient=False)
    more = replace(phase, extend_mean=True, average_last=2, mean_weight=3.0)
    assert shares(schedules.sequence(phase, more)) == pytest.approx([0, 1 / 7, 3 / 7, 3 / 7])


def test_the_image_is_seen_from_all_sides_in_turn():
    for preset in (schedules.annealed, schedules.fast, schedules.best, schedules.fixed_width):
        assert preset(0.1).flip[:5] == (0, 1, 2, 3, 0)
    assert set(schedules.paper(0.1).flip) == set(schedules.paper_sr().flip) == {0}


def test_a_fixed_width_stays_at_the_networks_level():
    schedule = schedules.fixed_width(0.1, iterations=7)
    assert schedule.kernel_width == pytest.approx((0.1,) * 7)
    assert schedule.prior_weight[0] == pytest.approx(schedules.paper(0.01, width=0.1).prior_weight[0])


# -- the data type -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("iterations", [1, 2, 9])
def test_every_schedule_has_the_length_it_was_asked_for(make, iterations):
    schedule = make(iterations)
    assert len(schedule) == iterations
    assert all(len(getattr(schedule, name)) == iterations for name in COLUMNS)


def test_a_schedule_cannot_be_changed_in_place(make):
    with pytest.raises(AttributeError):
        make(3).step = (1.0,)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        Schedule(**constant(**{name: value}))


@pytest.mark.parametrize("name", ["kernel_width", "step"])
def test_zero_is_refused_where_it_would_stop_the_solver(name):
    with pytest.raises(ValueError, match=name):
        Schedule(**constant(**{name: 0.0}))


@pytest.mark.parametrize("name", ["prior_weight", "data_weight", "momentum", "average"])
def test_zero_is_allowed_where_it_switches_something_off(name):
    Schedule(**constant(**{name: 0.0}))


@pytest.mark.parametrize(("name", "value"), [("momentum", 1.0), ("average", 1.5)])
def test_momentum_and_averaging_stay_in_their_range(name, value):
    with pytest.raises(ValueError, match=name):
        Schedule(**constant(**{name: value}))


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"one value an iteration.*'step': 1"):
        Schedule(**{**constant(), "step": (0.1,)})
    with pytest.raises(ValueError, match="one value an iteration"):
        Schedule(**dict.fromkeys(COLUMNS, ()))


@pytest.mark.parametrize("width", [0.0, -0.1, math.nan, math.inf])
def test_a_final_width_that_makes_no_sense_is_refused(width):
    with pytest.raises(ValueError, match="final_width"):
        Schedule(**constant(), final_width=width)


def test_the_paper_ends_without_another_denoising():
    assert schedules.paper(0.01).final_width is None
    assert schedules.paper_sr(factor=2).final_width is None


def test_a_schedule_says_which_solver_it_is_for():
    assert schedules.paper(0.1).solver == schedules.paper_sr().solver == "heavy-ball"
    for made in (schedules.annealed, schedules.fast, schedules.best, schedules.missing_pixels, schedules.fixed_width):
        assert made().solver == "proximal"
    with pytest.raises(ValueError, match="solver: got 'newton'"):
        Schedule(**constant(), solver="newton")
    for change in ({"dual": True}, {"flip": (1, 1, 1)}):
        with pytest.raises(ValueError, match="heavy-ball solver has neither"):
            Schedule(**constant(), solver="heavy-ball", **change)


# -- by name -------------------------------------------------------------------------------------------------------


def test_a_preset_is_found_by_name_and_task():
    assert schedules.preset("annealed", 0.01) == schedules.annealed(0.01)
    assert schedules.preset("fast", 0.01, iterations=5) == schedules.fast(0.01, 5)
    assert schedules.preset("best", 0.0) == schedules.best()
    assert schedules.preset("paper", 0.01, trained_width=0.1) == schedules.paper(0.01, 0.1)
    assert schedules.preset("paper-sr", 0.01, factor=3) == schedules.paper_sr(0.01, 3)
    assert schedules.preset("annealed", 0.01, trained_width=0.1, iterations=5) == schedules.fixed_width(0.1, 5)
    assert schedules.preset("annealed", 0.01, task="denoising") == schedules.denoising(0.01)
    assert schedules.preset("annealed", 0.0, task="denoising") == schedules.annealed()
    for name, length in (("annealed", 30), ("fast", 8), ("best", 60)):
        found = schedules.preset(name, 0.01, task="missing pixels")
        assert found == schedules.missing_pixels(0.01, length)
    with pytest.raises(ValueError, match="preset: got 'slow'; expected one of 'annealed'"):
        schedules.preset("slow", 0.01)


def test_an_unknown_column_is_refused():
    with pytest.raises(TypeError, match="stepsize"):
        Schedule(**constant(), stepsize=(1.0,) * 3)


def test_a_schedule_can_be_derived_from_another():
    base = schedules.paper(0.01, iterations=2)
    assert replace(base, momentum=(0.0, 0.0)).momentum == (0.0, 0.0)


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0])
def test_the_jacobian_is_there_or_not(value):
    with pytest.raises(ValueError, match="jacobian"):
        Schedule(**constant(), jacobian=(value,) * 3)


def test_noise_and_jacobian_are_the_papers_unless_said_otherwise():
    schedule = Schedule(**constant())
    assert schedule.noise == schedule.jacobian == (1, 1, 1)


@pytest.mark.parametrize("preset", [schedules.annealed, schedules.fast, schedules.best])
@pytest.mark.parametrize("sigma", [0.0, 1e-3, 2.55 / 255, 7.65 / 255, 12.75 / 255, 0.2])
def test_what_the_data_do_not_see_cannot_grow(preset, sigma):
    """Stripes of a pixel, say, which a denoiser takes away whole: the energy's curvature there is 1.

    A recursion ``x + t grad`` with momentum ``m`` contracts below ``t = 2 (1 + m) / (1 + 2 m)``.
    """
    schedule = preset(sigma)
    for step, momentum in zip(schedule.step, schedule.momentum, strict=True):
        assert step < 0.92 * 2 * (1 + momentum) / (1 + 2 * momentum)


BAD_NUMBERS = {
    "sigma": (lambda v: schedules.annealed(v), [-1, math.nan, "a", None, True], "sigma: "),
    "iterations": (lambda v: schedules.fast(0.1, iterations=v), [2.5, 0, "5", math.inf], "iterations: "),
    "width": (lambda v: schedules.paper(0.1, width=v), [0, -1, "a"], "width: "),
    "factor": (lambda v: schedules.paper_sr(0.0, factor=v), [1.5, 0], "factor: "),
}


@pytest.mark.parametrize("name", BAD_NUMBERS)
def test_bad_numbers_are_refused_by_name(name):
    make, values, message = BAD_NUMBERS[name]
    for value in values:
        with pytest.raises(ValueError, match=message):
            make(value)


def test_every_type_that_holds_a_number_is_one():
    expected = schedules.annealed(0.25, iterations=5)
    assert schedules.annealed(torch.tensor(0.25), iterations=torch.tensor(5)) == expected
    assert schedules.annealed(np.float32(0.25), iterations=np.int64(5)) == expected
