"""``--noise``: a number, or ``auto``."""

from __future__ import annotations

import numpy as np
import pytest

from daep_cli.jobs.job import Job
from daep_cli.jobs.restore_options import Options
from daep_cli.noise_option import AUTO, parse_noise
from daep_cli.photographs.photo import Photo


def test_numbers_and_auto_are_understood() -> None:
    assert parse_noise("2.55") == 2.55
    assert parse_noise("Auto") == AUTO
    for text in ("-1", "256", "nan", "inf", "automatic", ""):
        with pytest.raises(ValueError, match=r"--noise .*: expected a standard deviation from 0 to 255"):
            parse_noise(text)
    assert parse_noise("0") == 0


def test_an_estimate_that_fails_names_the_option() -> None:
    with pytest.raises(ValueError, match="--noise auto: 3 x 3 pixels are too few to estimate the noise; give a number"):
        Job(Options(noise=AUTO)).measure(Photo(np.zeros((3, 3, 3), np.uint8)))
