"""Memory does not grow with the number of pages. A large image takes the memory of a few copies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

MIB = 2**20
#: Restores one file after the other, in blocks of 256 pixels, and prints the peak memory after each, bytes.
PROGRAM = """
import resource, sys
from daep_cli.jobs import one_image, parts
from daep_cli.main import main

one_image.LARGEST_AT_ONCE = 2**19
parts.BLOCK = 256
weights, *files = sys.argv[1:]
for file in files:
    out = file.replace(".tif", "-out.tif")
    assert main(["restore", file, "-o", out, "--noise", "10", "--denoiser", weights, "--iterations", "1"]) == 0
    print("peak", 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs")
def test_memory_is_bounded(tmp_path: Path, weights: Path, environment) -> None:
    """4 and 40 pages of 512 x 512 pixels; 2 million pixels in 16-bit colour, 6 bytes each."""
    rng = np.random.default_rng(0)
    page = rng.integers(0, 4096, (512, 512), np.uint16)
    for name, count in (("few", 4), ("many", 40)):
        stack = np.broadcast_to(page, (count, *page.shape))
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, photometric="minisblack")
    large = np.tile(page[:, :, None], (2, 4, 3))
    tifffile.imwrite(tmp_path / "large.tif", large, photometric="rgb")
    files = [str(tmp_path / f"{name}.tif") for name in ("few", "many", "large")]
    command = [sys.executable, "-c", PROGRAM, str(weights), *files]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    few, many, after = (int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak"))
    assert many - few < 20 * MIB, "40 pages and their results are 80 MiB"
    assert after - many < 60 * large.size // 3, "60 bytes a pixel; at once it is 195"
    assert "32 blocks" in done.stdout and done.stdout.count("million pixels a second") == 3
