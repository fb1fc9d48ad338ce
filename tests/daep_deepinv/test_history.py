"""What a restoration tells of its course."""

from dataclasses import replace

import deepinv as dinv
import pytest
import torch

from daep_deepinv import DAEP, DivergenceError, degradation
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.history import Recorder, Watching, measured_count, residual_rms
from daep_deepinv.view import COLOUR, View
from daep_prior import MeanShiftPrior, schedules
from daep_prior.solvers import MomentumState

NOISE = 0.02


@pytest.fixture
def measured(images):
    x = images(2, 3, 24, 24)
    kernel = torch.ones(3, 3).numpy() / 9
    physics = degradation(kernel, sigma=NOISE)
    y = physics.A(x)
    return x, physics, y + NOISE * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))


def test_at_the_true_image_the_discrepancy_is_one(measured):
    x, physics, y = measured
    prior, schedule = MeanShiftPrior(lambda x, sigma: x), schedules.fast(NOISE)
    view = View([0, 1], y, physics, x, "the true image", COLOUR)
    recorder = Recorder(PerImageL2(sigma=NOISE), view, NOISE, prior, schedule, Watching(), has_cost=False)
    assert recorder(0, MomentumState.at_rest(x)) is None
    history = recorder.history()
    assert [row[0] for row in history["discrepancy"]] == pytest.approx([1, 1], rel=0.1)
    assert [row[0] for row in history["step_length"]] == [0, 0]


def test_the_residual_is_that_of_the_physics(measured):
    x, physics, y = measured
    x = x.flip(3)
    expected = (physics.A(x) - y).square().flatten(1).mean(1).sqrt()
    assert torch.allclose(residual_rms(PerImageL2(sigma=NOISE), x, y, physics), expected, atol=1e-5)


def test_missing_pixels_do_not_count(images):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    x, blur = images(1, 3, 8, 8), dinv.physics.Blur(torch.ones(1, 1, 3, 3) / 9, padding="circular")
    physics = dinv.physics.Inpainting(img_size=(3, 8, 8), mask=mask)
    for one in (physics, physics * blur):
        assert measured_count(one.A(x), one, x) == 3 * 8 * 4


@pytest.mark.parametrize("preset", ["annealed", "fast", "paper"])
def test_the_history_has_a_value_an_iteration_of_each_image(preset, unet, measured):
    _, physics, y = measured
    model = DAEP(NOISE, unet, preset, max_iter=4)
    assert model.history == {}
    model(y, physics)
    assert set(model.history) == {"data_residual", "discrepancy", "step_length"}
    assert all([len(row) for row in rows] == [4, 4] for rows in model.history.values())
    assert model.noise_level == [NOISE, NOISE]


def test_the_history_does_not_depend_on_the_batch(unet, measured):
    _, physics, y = measured
    model = DAEP(NOISE, denoiser=unet, max_iter=4)
    model(y, physics)
    together = model.history["discrepancy"][1]
    model(y[1:], physics)
    assert model.history["discrepancy"][0] == pytest.approx(together, rel=1e-3)


def test_the_energy_is_that_of_the_prior(unet, measured):
    """The image is the last iterate where nothing is averaged and nothing denoised afterwards."""
    _, physics, y = measured
    model = DAEP(NOISE, unet, "paper", max_iter=3)
    x, metrics = model(y, physics, compute_metrics=True)
    energy = model.prior(x, model.plans[0].schedule.kernel_width[-1])
    assert [row[-1] for row in metrics["energy"]] == pytest.approx(energy.tolist(), rel=1e-2)


@pytest.mark.parametrize(("criterion", "change"), [("residual", 5e-3), ("cost", 2e-2)])
def test_an_image_stops_when_it_no_longer_changes(criterion, change, make_spy, measured):
    """Alone or in a batch, each where it would alone."""
    _, physics, y = measured
    y = torch.cat([y[:1], 0.5 + 0.1 * (y[1:] - 0.5)])
    schedule = schedules.sequence(schedules.Phase(60, (0.1, 0.1), (5, 5), (0.5, 0.5), (0.0, 0.0), gradient=True))
    arguments = {
        "early_stop": True,
        "crit_conv": criterion,
        "thres_conv": change,
        "schedule": schedule,
        "noise": "none",
    }
    model = DAEP(NOISE, denoiser=make_spy(), **arguments)
    together = model(y, physics)
    assert model.has_converged
    assert len(model.history["discrepancy"][0]) < 60
    for i in range(2):
        alone = DAEP(NOISE, denoiser=make_spy(), **arguments)(y[i : i + 1], physics)
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)
    patient = DAEP(NOISE, denoiser=make_spy(), **{**arguments, "thres_conv": 0.0})
    patient(y, physics)
    assert not patient.has_converged


def test_a_solver_that_runs_away_says_so(unet, measured):
    """A hundred times the paper's step, clipped to [0, 1], would be an image of black and white."""
    _, physics, y = measured
    plain = schedules.paper(NOISE, iterations=30)
    wild = replace(plain, step=tuple(300 * s for s in plain.step))
    with pytest.raises(DivergenceError, match=r"diverged: image 0 is farther from its measurement.* Lower the step or"):
        DAEP(NOISE, unet, schedule=wild)(y, physics)
