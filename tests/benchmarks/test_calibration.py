"""The measures of ``calibration.py``, and what ``gallery.py`` compares."""

import calibration
import gallery
import pytest
import torch
from deepinv.optim import PnP
from denoisers import SMALL_NETWORKS

from daep_deepinv import DAEDenoiser, DAEPrior


def test_rank_correlation_is_that_of_the_order_alone():
    a = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert calibration.spearman(a, a.exp()) == pytest.approx(1)
    assert calibration.spearman(a, -a) == pytest.approx(-1)


def test_windows_hold_root_mean_squares():
    x = torch.zeros(1, 1, 16, 16)
    x[..., :8, :8] = 3
    assert torch.allclose(calibration.in_windows(x).flatten(), torch.tensor([3.0, 0, 0, 0]))


@pytest.mark.parametrize("task", calibration.TASKS)
def test_the_operator_of_each_task_fits_its_crops(task):
    build, _ = calibration.TASKS[task]
    channels = 1 if task == "tomography" else 3
    x = torch.rand(1, channels, 48, 48, generator=torch.Generator().manual_seed(0))
    assert bool(build((channels, 48, 48), 0).A(x).isfinite().all())


def test_a_script_gives_the_same_with_its_own_prior_and_with_ours():
    torch.manual_seed(0)
    network = DAEDenoiser(SMALL_NETWORKS["unet"]())
    clean = [torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))]
    script = gallery.Script(gallery.blur, gallery.by(gallery.PGD, sigma_denoiser=0.03, max_iter=2), PnP, {})
    own, ours = (gallery.run(script, prior, clean)[0] for prior in (PnP(network), DAEPrior(network)))
    assert own == pytest.approx(ours, abs=1e-3)
