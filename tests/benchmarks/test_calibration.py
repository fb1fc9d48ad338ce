"""The measures of ``calibration.py``, what ``gallery.py`` compares, and how ``samplers.py`` counts."""

from dataclasses import replace

import calibration
import gallery
import pytest
import samplers
import torch
from deepinv.optim import PDCP, PnP
from denoisers import SMALL_NETWORKS

from daep_deepinv import DAEDenoiser, DAEPrior
from daep_deepinv.calibration import Calibration


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DAEDenoiser(SMALL_NETWORKS["unet"]())


@pytest.fixture
def crops():
    """Restorations of two crops whose error is twice the standard deviation of the samples."""
    found = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        x, std = torch.rand(2, 1, 3, 64, 64, generator=generator)
        restored = x + 2 * std * torch.randn(x.shape, generator=generator)
        found.append(calibration.Drawn(x, restored, restored, std, restored + std, 1.0))
    return found


def test_rank_correlation_is_that_of_the_order_alone():
    a = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert calibration.spearman(a, a.exp()) == pytest.approx(1)
    assert calibration.spearman(a, -a) == pytest.approx(-1)


def test_windows_hold_root_mean_squares():
    x = torch.zeros(1, 1, 16, 16)
    x[..., :8, :8] = 3
    assert torch.allclose(calibration.in_windows(x).flatten(), torch.tensor([3.0, 0, 0, 0]))


def test_the_limit_is_below_one_even_for_the_error_itself():
    """Equal deviations order nothing; the more they differ, the higher is the limit."""
    generator = torch.Generator().manual_seed(0)
    error = torch.randn((1, 3, 64, 64), generator=generator)
    scale = torch.logspace(-2, 0, 64)
    assert calibration.limit(error) < 0.35
    assert 0.7 < calibration.limit(scale * error) < 1


def test_ranks_over_channels_and_over_all_crops(crops):
    """Two crops, of which one has a constant deviation ten times that of the other: only together are they ordered."""
    flat = [
        replace(one, std=torch.full_like(one.std, v), restored=one.x + v * (one.restored - one.x))
        for one, v in zip(crops, (0.01, 0.1), strict=True)
    ]
    row = calibration.row_of(flat, Calibration(1.0, 1))
    assert abs(row["rank"]) < 0.2
    assert row["rank together"] > 0.5
    row = calibration.row_of(crops, Calibration(1.0, 1))
    assert row["rank colour"] > 0.3


def test_the_factor_is_found_and_covers_what_is_asked_for(crops):
    how = Calibration(1.0, 1)
    factor = calibration.factor_for(crops, how)
    assert factor == pytest.approx(2, rel=0.02)
    row = calibration.row_of(crops, Calibration(factor, 1))
    assert row["coverage"] == pytest.approx(0.9, abs=0.01)
    assert row["lowest"] <= row["coverage"] <= row["highest"]
    assert row["mean of samples"] == row["restored"]
    assert calibration.row_of(crops, how)["coverage"] == pytest.approx(0.589, abs=0.02)  # 1.645/2 deviations


def test_a_crop_in_the_cache_is_not_drawn_again(crops, monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "draw", lambda *_: crops[0])
    calibration.drawn("deblurring", crops[0].x, 3, 16, tmp_path, "train")
    monkeypatch.setattr(calibration, "draw", None)
    again = calibration.drawn("deblurring", crops[0].x, 3, 16, tmp_path, "train")
    assert torch.equal(again.std, crops[0].std)


def test_the_plot_has_a_curve_for_each_task_and_the_diagonal(crops):
    (axes,) = calibration.plot({"deblurring": crops, "missing pixels": crops}).axes
    assert len(axes.lines) == 3


@pytest.mark.parametrize("task", calibration.TASKS)
def test_the_operator_of_each_task_fits_its_crops(task):
    build = calibration.TASKS[task][0]
    channels = 1 if task == "tomography" else 3
    x = torch.rand(1, channels, 48, 48, generator=torch.Generator().manual_seed(0))
    assert bool(build((channels, 48, 48), 0).A(x).isfinite().all())


@pytest.mark.parametrize("solver", [gallery.PGD, PDCP])
def test_a_script_gives_the_same_with_its_own_prior_and_with_ours(network, solver):
    clean = [torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))]
    script = gallery.Script(gallery.blur, gallery.by(solver, sigma_denoiser=0.03, max_iter=2), PnP, {})
    own, ours = (gallery.run(script, prior, clean)[0] for prior in (PnP(network), DAEPrior(network)))
    assert own == pytest.approx(ours, abs=1e-3)


def test_whole_methods_are_compared_on_what_the_script_shows(network):
    """An exact restoration of a phase, or of an unwrapped image, is perfect up to what is not measured."""
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for name in ("PGD, phase retrieval", "ADMM, unwrapping"):
        script = gallery.SCRIPTS[name]
        signal = script.signal(x[:, :1])
        moved = signal * 1j if signal.is_complex() else signal + 2
        assert torch.allclose(script.shown(moved, signal), script.shown(signal, signal), atol=1e-4)
    script = gallery.SCRIPTS["Anscombe, Poisson noise"]
    assert gallery.run(script, script.own(network), [x])[0] > 0


@pytest.mark.parametrize("name", ["DiffPIR, 30 steps", "DDRM, 20 levels"])
def test_a_sampler_of_deepinv_draws_as_many_images_as_asked_for(network, name):
    """In one batch, and the same ones again."""
    clean = [torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))]
    one, again, two = (
        samplers.measured(samplers.METHODS[name], "missing pixels", clean, n, network)[0] for n in (1, 1, 2)
    )
    assert one == again
    assert one != two
