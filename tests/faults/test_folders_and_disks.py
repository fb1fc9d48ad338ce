"""Full disks, folders and files that may not be read, and names that try to get out of the output folder."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daep_cli.main import main
from daep_prior import ConvDAE, save_dae

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs permissions, limits and names as Unix has them")

#: Takes away what lets root read and write everything; the owner's permissions apply to it then as to anyone.
POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_dae(ConvDAE(depth=2, width=4), path)
    return path


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Six images of 40 x 32 pixels, different enough that no PNG of them is small."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def daep(weights: Path, capfd: pytest.CaptureFixture[str]):
    """``daep restore SOURCE -o OUTPUT`` in this process: exit status, what it said, what it complained of."""

    def run(source: Path, output: Path) -> tuple[int, str, str]:
        capfd.readouterr()
        options = ["--noise", "5", "--denoiser", str(weights), "--iterations", "1", "--device", "cpu"]
        status = main(["restore", str(source), "-o", str(output), *options])
        return status, *capfd.readouterr()

    return run


def whole(folder: Path) -> list[str]:
    """Names in ``folder``, each of which must be an image that decodes to its end."""
    for path in folder.iterdir():
        with Image.open(path) as file:
            file.load()
    return sorted(path.name for path in folder.iterdir())


# -- full disks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path):
    """A folder on a disk of 16 KiB, and a function that makes it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")

    def grow() -> None:
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)

    yield disk, grow
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_when_there_is_room(daep, album: Path, small_disk) -> None:
    disk, grow = small_disk
    status, _, complaint = daep(album, disk / "out")
    assert status == 2
    assert "No space left on device" in complaint and "Traceback" not in complaint
    finished = whole(disk / "out")
    assert 0 < len(finished) < 6
    times = {name: (disk / "out" / name).stat().st_mtime_ns for name in finished}
    grow()
    status, said, _ = daep(album, disk / "out")
    assert status == 0
    assert f"{6 - len(finished)} restored, {len(finished)} skipped" in said
    assert whole(disk / "out") == [f"{i}.png" for i in range(6)]
    assert {name: (disk / "out" / name).stat().st_mtime_ns for name in finished} == times


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_write_that_fails_anywhere_leaves_no_part_of_a_file(
    daep, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    if failing == "write":
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # bytes of the largest file
    else:

        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, failing, fail)
    try:
        status, _, complaint = daep(album, tmp_path / "out")
    finally:
        if failing == "write":
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 2
    assert ("File too large" if failing == "write" else "No space left") in complaint
    assert os.listdir(tmp_path / "out") == []
    monkeypatch.undo()
    assert daep(album, tmp_path / "out")[0] == 0
    assert len(whole(tmp_path / "out")) == 6


# -- what may not be read or written -----------------------------------------------------------------------------------


@pytest.fixture
def powerless(weights: Path, environment: dict[str, str]):
    """``daep restore`` as a user to whom permissions apply, which they do not to root; status and complaints."""
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None or subprocess.run([*POWERLESS, "true"], capture_output=True).returncode:
            pytest.skip("runs as root, and there is no setpriv")
        prefix = POWERLESS

    def run(source: Path, output: Path) -> tuple[int, str]:
        options = ["--noise", "5", "--denoiser", str(weights), "--iterations", "1", "--device", "cpu"]
        command = [*prefix, sys.executable, "-m", "daep_cli", "restore", str(source), "-o", str(output), *options]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stderr

    return run


def test_what_may_not_be_read_is_named_and_the_rest_done(powerless, album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    (album / "3.png").chmod(0)
    status, complaint = powerless(album, out)
    assert status == 2
    assert complaint.count("\n") == 1 and "3.png: Permission denied" in complaint
    assert whole(out) == ["0.png", "1.png", "2.png", "4.png", "5.png"]


@pytest.mark.parametrize(("folder", "mode"), [("in", 0o000), ("in", 0o444), ("out", 0o555)])
def test_a_folder_that_may_not_be_used_is_one_sentence(
    powerless, album: Path, tmp_path: Path, folder: str, mode: int
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)
    (tmp_path / folder).chmod(mode)
    try:
        status, complaint = powerless(album, tmp_path / "out")
    finally:
        (tmp_path / folder).chmod(0o755)
    assert status == 2
    assert complaint.count("\n") == 1 and str(tmp_path / folder) in complaint
    assert os.listdir(tmp_path / "out") == []


# -- names -------------------------------------------------------------------------------------------------------------

NAMES = [
    "..png",
    "...png",
    "..%2f..%2fescape.png",
    "..\\..\\escape.png",
    "-o.png",
    "--overwrite.png",
    "$(touch escape).png",
    "new\nline.png",
    "\x1b[31mred.png",
    " .png",
    "~.png",
    "a" * 251 + ".png",
    os.fsdecode(b"not utf-8 \xff\xfe.png"),
    "image.PNG",
]


def test_no_name_leads_out_of_the_output_folder(daep, album: Path, tmp_path: Path, monkeypatch) -> None:
    image = (album / "0.png").read_bytes()
    for path in album.iterdir():
        path.unlink()
    visible = [name for name in NAMES if not name.startswith(".")]
    for name in NAMES:
        (album / name).write_bytes(image)
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    before = sorted(tmp_path.rglob("*"))
    status, said, complaint = daep(album, tmp_path / "out")
    assert status == 0, complaint
    assert whole(tmp_path / "out") == sorted(visible)
    assert "\x1b" not in said  # a name must not speak to the terminal
    assert [p for p in sorted(tmp_path.rglob("*")) if tmp_path / "out" not in (p, *p.parents)] == before


def test_links_among_the_inputs_are_read_and_never_written_through(daep, album: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    (album / "5.png").rename(outside)
    content = outside.read_bytes()
    (album / "5.png").symlink_to(outside)
    (album / "loop.png").symlink_to(album / "loop.png")
    (album / "broken.png").symlink_to(tmp_path / "nowhere.png")
    assert daep(album, tmp_path / "out")[0] == 0
    assert whole(tmp_path / "out") == [f"{i}.png" for i in range(6)]
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())
    assert outside.read_bytes() == content
