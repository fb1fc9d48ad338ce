"""``daep restore --samples``: the result, the heat map and the deviation as a TIFF; the same seed, the same files."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from daep_cli.jobs.deviation_files import deviation_tiff, heat_map
from daep_cli.kernels.shapes import gaussian
from daep_cli.photographs.reading import read_photo
from daep_deepinv import DAEP, degradation


@pytest.fixture
def small(tmp_path, scene):
    """A grey PNG of 16 x 12 pixels."""
    path = tmp_path / "small.png"
    Image.fromarray(scene(12, 16, 1)[..., 0]).save(path)
    return path


@pytest.fixture
def quick():
    """Options for two samples in a second."""
    return ["--iterations", 2, "--samples", 2]


@pytest.fixture
def mask(tmp_path):
    known = np.full((12, 16), 255, np.uint8)
    known[3:8, 4:12] = 0
    path = tmp_path / "mask.png"
    Image.fromarray(known).save(path)
    return path


def test_the_result_is_the_estimate_of_the_posterior_and_comes_again(daep, small, tmp_path, quick):
    options = ["--kernel", "gaussian:1", "--noise", 5, *quick, "--seed", 3]
    files = []
    for name in ("a", "b"):
        out, sure = tmp_path / f"{name}.png", tmp_path / f"{name}-sure.png"
        outcome = daep("restore", small, "-o", out, *options, "--uncertainty", sure)
        assert (outcome.status, outcome.err) == (0, "")
        assert "(2 samples, expected error" in outcome.out
        files.append((out.read_bytes(), sure.read_bytes()))
    assert files[0] == files[1]
    y = torch.from_numpy(read_photo(small).colour[None, ..., 0] / np.float32(255))[None].float()
    physics = degradation(gaussian(1), img_size=(1, 12, 16))
    found = DAEP(5 / 255, max_iter=2, seed=3).posterior(y, physics, n=2, seed=3)
    expected = (found.mean * 255).round().clamp(0, 255)
    margin = (expected.shape[-1] - 16) // 2
    expected = expected[0, 0, margin : margin + 12, margin : margin + 16].numpy()
    assert np.abs(read_photo(tmp_path / "a.png").colour[..., 0] - expected).max() <= 1


def test_other_seeds_give_other_files(daep, small, tmp_path, quick):
    for seed in (1, 2):
        daep("restore", small, "-o", tmp_path / f"{seed}.tif", "--noise", 25, *quick, "--seed", seed)
    assert (tmp_path / "1.tif").read_bytes() != (tmp_path / "2.tif").read_bytes()


def test_what_is_known_exactly_has_no_deviation(daep, small, mask, tmp_path, quick):
    """The TIFF has the size of the image, and its description says what a step is."""
    out, sure = tmp_path / "out.png", tmp_path / "sure.tif"
    outcome = daep("restore", small, "-o", out, "--mask", mask, *quick, "--uncertainty", sure)
    assert (outcome.status, outcome.err) == (0, "")
    with tifffile.TiffFile(sure) as file:
        page = file.pages[0]
        deviation, description = page.asarray(), page.tags[270].value
    assert deviation.dtype == np.uint16
    assert deviation.shape == (12, 16)
    known = np.asarray(Image.open(mask)) > 0
    assert (deviation[known] == 0).all()
    assert (deviation[~known] > 0).all()
    assert "0.00389105 grey levels; 65535 are 255" in description


def test_the_deviation_of_an_enlarged_image_has_its_size(daep, small, tmp_path, quick):
    sure = tmp_path / "sure.tiff"
    daep("restore", small, "-o", tmp_path / "out.png", "--scale", 2, *quick, "--uncertainty", sure)
    assert tifffile.imread(sure).shape == (24, 32)


def test_a_step_of_the_tiff_is_in_values_of_the_file(tmp_path):
    path = tmp_path / "d.tif"
    path.write_bytes(deviation_tiff(np.full((2, 3, 3), 0.1), 0, 4095))
    with tifffile.TiffFile(path) as file:
        step = float(file.pages[0].tags[270].value.split("steps of ")[1].split()[0])
        assert np.allclose(file.asarray() * step, 409.5, rtol=1e-3)


def test_a_heat_map_is_brighter_where_the_deviation_is_larger(tmp_path):
    deviation = np.zeros((20, 30, 3))
    deviation[:, 15:] = 0.1
    path = tmp_path / "map.png"
    path.write_bytes(heat_map(deviation, 0, 255))
    picture = np.asarray(Image.open(path).convert("L")).astype(float)
    middle, width = picture.shape[0] // 2, picture.shape[1]
    assert picture[middle, int(0.6 * width)] > picture[middle, int(0.2 * width)] + 50


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--uncertainty", "s.png"], "add their number, such as --samples 16"),
        (["--samples", 4, "--uncertainty", "s.jpg"], "--uncertainty"),
        (["--samples", 4, "--uncertainty", "out.png"], "choose another name"),
        (["--samples", 4, "--uncertainty", "small.png"], "never replaced"),
        (["--samples", 4, "--uncertainty", "none/s.png"], "does not exist"),
        (["--samples", 1], "--samples"),
        (["--samples", 4, "--kernel", "blind"], "kernel that is found"),
        (["--samples", 4, "--linear"], "--no-linear"),
        (["--samples", 4, "--denoiser", "dae-sigma25"], "25/255 alone"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused_in_one_sentence(refused, small, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused("restore", "small.png", "-o", "out.png", "--noise", 5, *options)
    assert {path.name for path in tmp_path.iterdir()} == {"small.png"}


def test_a_folder_and_a_stack_are_refused(refused, small, tmp_path):
    assert "is a folder" in refused("restore", tmp_path, "-o", tmp_path / "out", "--noise", 5, "--samples", 4)
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.zeros((2, 12, 16), np.uint8) + 9)
    assert "2 pages" in refused("restore", stack, "-o", tmp_path / "out.tif", "--noise", 5, "--samples", 4)


def test_explain_says_how_many_samples(daep, small):
    assert "samples    4" in daep("restore", small, "--noise", 25, "--samples", 4, "--explain").out
