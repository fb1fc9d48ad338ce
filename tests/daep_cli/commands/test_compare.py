"""``daep compare``: a folder with table, figures and images; refusals before anything is written."""

import csv

import numpy as np
import pytest
from PIL import Image

from daep_cli.commands.compare import DOWNLOADING, METHODS
from daep_compare import known_methods

TWO = "pnp-hqs,wiener"


@pytest.fixture
def clean(tmp_path, scene):
    path = tmp_path / "clean.png"
    Image.fromarray(scene(36, 40)).save(path)
    return path


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "kernel.txt"
    np.savetxt(path, np.ones((3, 5)))
    return path


def rows(folder):
    with (folder / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("task", ["kernel", "scale", "mask", "noise"])
def test_it_writes_table_figures_and_images(task, daep, clean, kernel, tmp_path, weights):
    mask = tmp_path / "mask.png"
    Image.fromarray(np.random.default_rng(0).choice([0, 255], (36, 40)).astype(np.uint8)).save(mask)
    options = {
        "kernel": ("--kernel", kernel, "--noise", 2.55),
        "scale": ("--scale", 3, "--crop", 32),  # 32 is no multiple of 3
        "mask": ("--mask", mask),
        "noise": ("--noise", 25),
    }[task]
    out = tmp_path / "out"
    outcome = daep("compare", clean, "-o", out, *options, "--methods", TWO, "--denoiser", weights)
    assert outcome.status == 0, outcome.err
    assert {path.name for path in out.iterdir()} == {
        "table.csv",
        "pictures.png",
        "convergence.png",
        "pnp-hqs.png",
        "wiener.png",
    }
    found = rows(out)
    assert [row["method"] for row in found] == TWO.split(",")
    assert all(row["remark"] == "" and float(row["psnr"]) > 5 for row in found)
    assert found[0]["evaluations"] == "8"
    size = {"kernel": (36, 34), "scale": (30, 30)}.get(task, (40, 36))
    assert Image.open(out / "wiener.png").size == size
    for name in TWO.split(","):
        assert name in outcome.out


def test_a_method_that_cannot_is_a_line_that_says_why(daep, clean, tmp_path, weights):
    out = tmp_path / "out"
    outcome = daep(
        "compare", clean, "-o", out, "--noise", 25, "--methods", "richardson-lucy,wiener", "--denoiser", weights
    )
    assert outcome.status == 0
    first, second = rows(out)
    assert "for blurred images only" in first["remark"] and second["remark"] == ""
    assert "richardson-lucy is for blurred images only\n" in outcome.out
    assert not (out / "richardson-lucy.png").exists()


def test_columns_that_are_empty_are_not_printed(daep, clean, tmp_path, weights):
    command = ("compare", clean, "-o", tmp_path / "out", "--noise", 25, "--denoiser", weights, "--no-lpips")
    outcome = daep(*command, "--methods", "wiener")
    assert "psnr" in outcome.out and "lpips" not in outcome.out and "remark" not in outcome.out
    assert "lpips" in rows(tmp_path / "out")[0]


def test_the_help_names_the_methods():
    assert (*METHODS, *DOWNLOADING) == known_methods()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--noise", 25, "--methods", "magic"), "--methods magic"),
        (("--noise", 25, "--methods", ","), "--methods"),
        (("--noise", 25, "--crop", 500), "--crop 500: expected 16 to 36"),
        ((), "nothing to compare"),
        (("--noise", -1), "--noise"),
        (("--noise", "auto"), "--noise auto: expected a standard deviation"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(arguments, words, refused, clean, tmp_path):
    out = tmp_path / "out"
    assert words in refused("compare", clean, "-o", out, *arguments)
    assert not out.exists()


def test_results_that_exist_are_kept_unless_told_otherwise(daep, refused, clean, tmp_path, weights):
    out = tmp_path / "out"
    command = ("compare", clean, "-o", out, "--noise", 25, "--methods", "wiener", "--denoiser", weights)
    assert daep(*command).status == 0
    assert "exists already" in refused(*command)
    assert daep(*command, "--overwrite").status == 0


def test_the_clean_image_is_never_replaced(refused, tmp_path, scene):
    clean = tmp_path / "wiener.png"
    Image.fromarray(scene()).save(clean)
    before = clean.read_bytes()
    command = ("compare", clean, "-o", tmp_path, "--noise", 25, "--methods", "wiener", "--overwrite")
    assert "is also an input" in refused(*command)
    assert clean.read_bytes() == before


def test_an_output_that_is_no_folder_is_refused(refused, clean, tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    command = ("compare", clean, "--noise", 25, "--methods", "wiener", "-o")
    assert "is not a folder; name a folder" in refused(*command, tmp_path / "file")
    assert "create it first" in refused(*command, tmp_path / "missing" / "out")
    assert (tmp_path / "file").read_bytes() == b"mine"
