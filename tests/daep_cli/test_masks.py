"""Masks: what is white is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daep_cli.masks import read_mask


def test_masks_are_cut_at_half_white(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8)).save(path)
    np.testing.assert_array_equal(read_mask(path), [[False, False, True, True]])


def test_a_mask_that_knows_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    Image.new("L", (4, 4)).save(path)
    with pytest.raises(ValueError, match="no pixel is white"):
        read_mask(path)
