"""``daep restore`` on a folder: the good ones are done, the bad ones named, nothing is done twice."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daep_cli.images import Photo, read_photo, write_photo
from daep_cli.restore import Job


@pytest.fixture
def album(tmp_path: Path, scene) -> Path:
    """Three good images, a damaged one, a text, a hidden file, a subfolder."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_photo(Photo(scene(20, 24)), folder / "a.png")
    write_photo(Photo(scene(16, 30, 1, np.uint16)), folder / "b.TIF")
    write_photo(Photo(scene(18, 18)), folder / "d.jpg")
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:-70])
    (folder / "notes.txt").write_text("x")
    (folder / "._a.png").write_text("x")
    (folder / "more").mkdir()
    return folder


@pytest.fixture
def run(daep, album: Path, tmp_path: Path, weights: Path):
    """Restore the album into ``out``."""

    def restore(*extra: object):
        options = ["--noise", 10, "--denoiser", weights, "--iterations", 2, *extra]
        return daep("restore", album, "-o", tmp_path / "out", *options)

    return restore


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_good_images_are_restored_and_bad_ones_reported(run, tmp_path: Path) -> None:
    outcome = run()
    assert outcome.status == 2
    assert names(tmp_path / "out") == ["a.png", "b.TIF", "d.jpg"]
    assert outcome.err.count("\n") == 1
    assert "c.png: not a readable" in outcome.err
    assert outcome.out.splitlines()[-1].endswith(
        "3 restored, 1 failed, 1 ignored because not named as PNG, JPEG or TIFF"
    )
    assert read_photo(tmp_path / "out" / "b.TIF").colour.dtype == np.uint16


def test_a_second_run_does_only_what_is_missing(run, album: Path, tmp_path: Path) -> None:
    (album / "c.png").unlink()
    assert run().status == 0
    out = tmp_path / "out"
    untouched, wanted = (out / "a.png").stat().st_mtime_ns, (out / "b.TIF").read_bytes()
    (out / "b.TIF").unlink()
    again = run()
    assert again.status == 0
    assert "1 restored, 2 skipped because their result exists" in again.out
    assert (out / "a.png").stat().st_mtime_ns == untouched
    assert (out / "b.TIF").read_bytes() == wanted
    assert "3 restored" in run("--overwrite").out
    assert "3 skipped" in run().out


def test_a_killed_run_can_be_started_again(run, album: Path, tmp_path: Path, monkeypatch) -> None:
    (album / "c.png").unlink()
    original, calls = Job.run, []

    def interrupted(job: Job, photo: Photo) -> Photo:
        calls.append(photo)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(job, photo)

    monkeypatch.setattr(Job, "run", interrupted)
    assert run().status == 130
    assert names(tmp_path / "out") == ["a.png"]
    monkeypatch.undo()
    assert "2 restored, 1 skipped" in run().out


def test_an_image_gives_the_same_result_alone_and_in_a_folder(run, daep, album: Path, tmp_path, weights) -> None:
    run()
    for name in ("a.png", "b.TIF", "d.jpg"):
        alone = tmp_path / f"alone{Path(name).suffix}"
        options = ["--noise", 10, "--denoiser", weights, "--iterations", 2]
        assert daep("restore", album / name, "-o", alone, *options).status == 0
        assert alone.read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_one_mask_for_images_of_two_sizes_fails_only_where_it_does_not_fit(
    daep, album: Path, tmp_path, weights
) -> None:
    Image.new("L", (24, 20), 255).save(tmp_path / "m.png")
    options = ["--mask", tmp_path / "m.png", "--denoiser", weights, "--iterations", 1]
    outcome = daep("restore", album, "-o", tmp_path / "out", *options)
    assert outcome.status == 2
    assert names(tmp_path / "out") == ["a.png"]
    assert outcome.err.count("\n") == 3
    assert "d.jpg: --mask" in outcome.err


def test_results_stay_inside_the_output_folder(run, album: Path, tmp_path: Path) -> None:
    """A link that stands where a result goes is taken for finished, or replaced itself; its target is never written."""
    (album / "c.png").unlink()
    out, outside = tmp_path / "out", tmp_path / "precious.png"
    out.mkdir()
    outside.write_bytes(b"mine")
    (out / "a.png").symlink_to(outside)
    (out / "d.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert "1 restored, 2 skipped" in run().out
    assert run("--overwrite").status == 0
    assert outside.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere.jpg").exists()
    assert not (out / "a.png").is_symlink()


def test_folders_that_cannot_be_used_are_refused_before_anything_is_made(refused, album: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "file").write_text("x")
    cases = [
        (album, album, "input folder itself"),
        (album, tmp_path / "file", "is not a folder"),
        (album, tmp_path / "x" / "y", "create it first"),
        (empty, tmp_path / "out", "holds no PNG, JPEG or TIFF"),
    ]
    for source, output, reason in cases:
        assert reason in refused("restore", source, "-o", output, "--noise", 5)
    assert not (tmp_path / "out").exists()


def test_unusable_weights_are_one_error_not_one_for_each_image(refused, album: Path, tmp_path: Path) -> None:
    assert "no network named" in refused("restore", album, "-o", tmp_path / "out", "--noise", 5, "--denoiser", "none")
    assert not (tmp_path / "out").exists()
