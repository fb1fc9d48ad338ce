"""deepinv's own scripts with our prior in the place of theirs: not behind, with the script's numbers."""

from __future__ import annotations

import gallery
import pytest
import torch

from daep_deepinv import DAEDenoiser, DAEPrior

#: Their solvers take hundreds of steps, at any size of the image.
LONG = {"vanilla PnP, CT", "ULA, 300 steps, missing pixels", "SKRock, 30 steps of 10, missing pixels"}
SWAPS = [name for name, script in gallery.SCRIPTS.items() if script.ours is not None and name not in LONG]


@pytest.mark.parametrize("name", SWAPS)
def test_a_script_with_our_prior_is_not_behind(name: str) -> None:
    data = pytest.importorskip("skimage").data
    image = torch.from_numpy(data.astronaut()[60:124, 180:244].copy()).permute(2, 0, 1)[None].float() / 255
    script, network = gallery.SCRIPTS[name], DAEDenoiser("dae")
    own = gallery.run(script, script.own(network), [image])[0]
    assert gallery.run(script, DAEPrior(network, **script.ours), [image])[0] > own - 0.05
    assert own > 5
