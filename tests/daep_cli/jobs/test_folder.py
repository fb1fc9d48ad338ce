"""``daep restore`` on a folder: the good ones are done, the bad ones named, nothing is done twice."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daep_cli.jobs import folder as folder_module
from daep_cli.jobs.claims import Claim
from daep_cli.jobs.folder import restore_folder, results_of
from daep_cli.jobs.job import Job
from daep_cli.jobs.restore_options import Options
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.writing import write_photo


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


def test_each_warning_names_its_file(daep, scene, tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):  # of two sizes, so each is a batch
        write_photo(Photo(scene(40 if name == "a.jpg" else 44, 48)), folder / name)
    options = ["--kernel", "gaussian:1", "--noise", "auto", "--denoiser", weights, "--iterations", 1]
    said = "--noise auto: may find too little noise in a JPEG"
    for source, names in ((folder, "ab"), (folder / "a.jpg", "a")):
        for more in (["--explain"], ["-o", tmp_path / f"out-{source.name}"]):
            lines = [line for line in daep("restore", source, *options, *more).err.splitlines() if said in line]
            assert sorted(line.partition(": --")[0] for line in lines) == [f"daep: {name}.jpg" for name in names]


def test_good_images_are_restored_and_bad_ones_reported(run, tmp_path: Path) -> None:
    outcome = run()
    assert outcome.status == 2
    assert names(tmp_path / "out") == ["a.png", "b.TIF", "d.jpg"]
    assert outcome.err.count("\n") == 1
    assert "c.png: not a readable" in outcome.err
    assert outcome.out.splitlines()[-1].endswith("3 restored, 1 failed, 1 ignored because not named as an image")
    assert read_photo(tmp_path / "out" / "b.TIF").colour.dtype == np.uint16


def test_raw_files_and_images_of_the_same_name_have_results_of_their_own() -> None:
    images = [Path(name) for name in ("a.dng", "a.nef", "a.tif", "b.cr2", "b.jpg", "c.DNG", "d.NEF", "d.dng")]
    results = [path.name for path in results_of(images, Path("out"))]
    assert results == ["a.dng.tif", "a.nef.tif", "a.tif", "b.tif", "b.jpg", "c.tif", "d.NEF.tif", "d.dng.tif"]


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

    def interrupted(job: Job, *arguments: object) -> list:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(job, *arguments)

    monkeypatch.setattr(Job, "run", interrupted)
    outcome = run()
    assert outcome.status == 130
    assert outcome.err.startswith("daep: interrupted after 1 restored, ")
    assert "the same command continues from here" in outcome.err
    assert outcome.out.startswith(f"{tmp_path / 'out' / 'a.png'}: 24 x 20 pixels")
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
    Image.fromarray(np.eye(20, 24, dtype=np.uint8)).save(tmp_path / "m.png")
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
        (album, album, "input itself"),
        (album, tmp_path / "file", "is not a folder"),
        (album, tmp_path / "x" / "y", "create it first"),
        (album, tmp_path / "one.PNG", "one.PNG: is the name of a file, but the input"),
        (empty, tmp_path / "out", "contains no PNG, JPEG, TIFF, FITS or raw image"),
    ]
    for source, output, reason in cases:
        assert reason in refused("restore", source, "-o", output, "--noise", 5)
    assert not (tmp_path / "out").exists() and not (tmp_path / "one.PNG").exists()


def test_unusable_weights_are_one_error_not_one_for_each_image(refused, album: Path, tmp_path: Path) -> None:
    assert "no network named" in refused("restore", album, "-o", tmp_path / "out", "--noise", 5, "--denoiser", "none")
    assert not (tmp_path / "out").exists()


# -- batches -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def burst(tmp_path: Path) -> Path:
    """Seven images: five of one size, one of them turned by its EXIF tag and one with 16 bits, and two of another."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        if i == 3:
            write_photo(Photo(pixels.astype(np.uint16) * 257), folder / "3.png")
        elif i == 4:
            exif = Image.Exif()
            exif[0x0112] = 6  # to be turned by a quarter
            Image.fromarray(np.rot90(pixels).copy()).save(folder / "4.jpg", exif=exif, quality=95)
        else:
            write_photo(Photo(pixels), folder / f"{i}.png")
    for i in (5, 6):
        write_photo(Photo(np.full((8, 9, 1), 30 * i, np.uint8)), folder / f"{i}.png")
    return folder


def test_images_of_equal_size_share_a_batch_and_get_the_result_they_get_alone(
    daep, burst, tmp_path, monkeypatch
) -> None:
    sizes, original = [], Job.run

    def counted(job: Job, batch: list, callback=None) -> list:
        sizes.append(len(batch))
        return original(job, batch, callback)

    monkeypatch.setattr(Job, "run", counted)
    options = ["--noise", 10, "--iterations", 2]
    assert daep("restore", burst, "-o", tmp_path / "out", *options).status == 0
    assert sorted(sizes) == [2, 5]
    for name in ("0.png", "3.png", "4.jpg", "6.png"):
        alone = tmp_path / f"alone-{name}"
        assert daep("restore", burst / name, "-o", alone, *options).status == 0
        together = tmp_path / "out" / name
        assert alone.read_bytes() == together.read_bytes()


def test_batches_are_bounded(daep, burst, tmp_path, weights, monkeypatch) -> None:
    sizes, original = [], Job.run

    def counted(job: Job, batch: list, callback=None) -> list:
        sizes.append(len(batch))
        return original(job, batch, callback)

    monkeypatch.setattr(Job, "run", counted)
    monkeypatch.setattr("daep_cli.jobs.job.CPU_BATCH_PIXELS", 2 * 20 * 24)
    options = ["--noise", 10, "--iterations", 1, "--denoiser", weights, "--device", "cpu"]
    assert daep("restore", burst, "-o", tmp_path / "out", *options).status == 0
    assert sorted(sizes) == [1, 2, 2, 2]


def test_one_image_that_fails_does_not_take_its_batch_along(daep, burst, tmp_path, weights, monkeypatch) -> None:
    original = Job.run

    def picky(job: Job, batch: list, callback=None) -> list:
        if any(measured.photo.colour[0, 0, 0] == victim for measured in batch):
            raise FloatingPointError("the iteration diverged.")
        return original(job, batch, callback)

    victim = read_photo(burst / "1.png").colour[0, 0, 0]
    monkeypatch.setattr(Job, "run", picky)
    outcome = daep("restore", burst, "-o", tmp_path / "out", "--noise", 10, "--iterations", 1, "--denoiser", weights)
    assert outcome.status == 2
    assert "1.png: the iteration diverged" in outcome.err
    assert outcome.err.count("\n") == 1
    assert names(tmp_path / "out") == ["0.png", "2.png", "3.png", "4.jpg", "5.png", "6.png"]


def test_the_noise_of_each_image_is_estimated_by_itself(daep, tmp_path, weights, scene) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for level in (5, 20):
        noisy = scene(64, 64).astype(float) * 0.5 + 60 + rng.normal(0, level, (64, 64, 3))
        write_photo(Photo(noisy.round().clip(0, 255).astype(np.uint8)), folder / f"{level}.png")
    options = ["--noise", "auto", "--iterations", 1, "--denoiser", weights]
    outcome = daep("restore", folder, "-o", tmp_path / "out", *options)
    assert outcome.status == 0, outcome.err
    for line in outcome.out.splitlines()[:-1]:
        true = float(Path(line.partition(":")[0]).stem)
        printed = float(line.partition("noise ")[2].partition(" as estimated")[0])
        assert printed == pytest.approx(true, rel=0.1)


# -- several processes, and none that lives forever --------------------------------------------------------------------


@contextmanager
def held_elsewhere(result: Path, content: bytes | None) -> Iterator[None]:
    """Somebody else claims ``result``, and after half a second writes it, or not, and goes."""
    claimed = threading.Event()

    def work() -> None:
        claim = Claim(result)
        assert claim.take()
        claimed.set()
        time.sleep(0.5)
        if content is not None:
            result.write_bytes(content)
        claim.release()

    thread = threading.Thread(target=work)
    thread.start()
    assert claimed.wait(10)
    yield
    thread.join()


def test_what_another_process_restores_meanwhile_is_not_restored_again(run, album: Path, tmp_path: Path) -> None:
    (album / "c.png").unlink()
    out = tmp_path / "out"
    out.mkdir()
    with held_elsewhere(out / "a.png", b"theirs"):
        outcome = run()
    assert outcome.status == 0
    assert "2 restored, 1 restored by another process meanwhile" in outcome.out
    assert (out / "a.png").read_bytes() == b"theirs"
    assert names(out) == ["a.png", "b.TIF", "d.jpg"]


def test_what_another_process_leaves_undone_is_done(run, album: Path, tmp_path: Path) -> None:
    (album / "c.png").unlink()
    out = tmp_path / "out"
    out.mkdir()
    with held_elsewhere(out / "a.png", None):
        outcome = run()
    assert "3 restored" in outcome.out
    assert names(out) == ["a.png", "b.TIF", "d.jpg"]


def test_two_processes_restore_nothing_twice_and_leave_nothing_else(tmp_path, scene, weights, monkeypatch) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    wanted = [f"{i:02}.png" for i in range(24)]
    for i, name in enumerate(wanted):
        write_photo(Photo(scene(16 + i % 3, 20)), source / name)
    monkeypatch.setattr("daep_cli.jobs.job.CPU_BATCH_PIXELS", 1)  # batches of one, so that both have something to do
    fork = multiprocessing.get_context("fork")  # importing torch twice would take longer than the rest of the test
    lines: multiprocessing.Queue = fork.Queue()
    options = Options(noise=9.0, denoiser=str(weights), iterations=3, device="cpu")

    for function in ("say", "complain"):
        monkeypatch.setattr(folder_module, function, lines.put)

    def work() -> None:
        restore_folder(source, out, Job(options), False)

    both = [fork.Process(target=work) for _ in range(2)]
    for process in both:
        process.start()
    restored = [lines.get(timeout=60) for _ in wanted]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert lines.empty()
    assert sorted(Path(line.partition(":")[0]).name for line in restored) == wanted
    assert names(out) == wanted


@pytest.mark.parametrize("moment", [1, 4, 9])
def test_after_a_kill_every_result_is_whole_and_the_next_run_makes_the_rest(
    tmp_path, scene, weights, monkeypatch, moment
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    wanted = [f"{i:02}.png" for i in range(30)]  # so many that none comes to its end before it is killed
    for name in wanted:
        write_photo(Photo(scene(16, 20)), source / name)
    monkeypatch.setattr("daep_cli.jobs.job.CPU_BATCH_PIXELS", 3 * 16 * 20)
    fork = multiprocessing.get_context("fork")
    lines: multiprocessing.Queue = fork.Queue()
    job = Job(Options(noise=9.0, denoiser=str(weights), iterations=30, device="cpu"))
    monkeypatch.setattr(folder_module, "say", lines.put)
    victim = fork.Process(target=lambda: restore_folder(source, out, job, False))
    victim.start()
    for _ in range(moment):
        lines.get(timeout=60)
    victim.kill()
    victim.join()
    done = [name for name in names(out) if name in wanted]
    assert moment <= len(done) < len(wanted)
    written = {name: (out / name).stat().st_mtime_ns for name in done}
    assert all(read_photo(out / name).size == (20, 16) for name in done)
    # not lines.put: the victim may have died with the queue's lock, and then this process would wait for it at its end
    monkeypatch.setattr(folder_module, "say", lambda line: None)
    monkeypatch.setattr(folder_module, "complain", pytest.fail)
    tally = restore_folder(source, out, job, False)
    assert (tally.restored, tally.skipped) == (len(wanted) - len(done), len(done))
    assert names(out) == wanted
    assert {name: (out / name).stat().st_mtime_ns for name in done} == written


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(run, album: Path, tmp_path: Path, monkeypatch) -> None:
    (album / "c.png").unlink()
    calls, original = [], folder_module.write_whole

    def full(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))
        original(*arguments)

    monkeypatch.setattr(folder_module, "write_whole", full)
    outcome = run()
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "No space left on device" in outcome.err
    monkeypatch.undo()
    assert names(tmp_path / "out") == ["a.png"]
    assert "2 restored, 1 skipped" in run().out


def test_planted_links_lead_nothing_out_of_the_output_folder(run, album: Path, tmp_path: Path) -> None:
    (album / "c.png").unlink()
    out, outside = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    outside.write_bytes(b"mine")
    claim = Claim(out / "a.png")
    claim.temporary.symlink_to(outside)
    lock = claim.temporary.with_suffix(".lock")
    lock.symlink_to(outside)
    outcome = run()
    assert outcome.status == 2
    assert "a.png: " in outcome.err
    assert outside.read_bytes() == b"mine"
    lock.unlink()
    assert run().status == 0
    assert outside.read_bytes() == b"mine"
    assert names(out) == ["a.png", "b.TIF", "d.jpg"]
