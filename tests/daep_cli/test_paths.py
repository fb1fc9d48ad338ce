"""No file of the user's may be lost, and no half of one may appear."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from daep_cli.paths import check_output_file, check_output_folder
from daep_cli.whole_files import write_whole

SUFFIXES = (".png",)


def test_a_new_file_honours_the_umask_and_a_replaced_one_keeps_its_permissions(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(b"old")
    old.chmod(0o640)
    previous = os.umask(0o027)
    try:
        write_whole(new, b"new")
        write_whole(old, b"new", overwrite=True)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert old.read_bytes() == b"new"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
def test_a_failed_write_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(type(error)):
        write_whole(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_file_that_appeared_during_the_run_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"somebody's")
    with pytest.raises(ValueError, match="created during the run"):
        write_whole(path, b"ours")
    assert path.read_bytes() == b"somebody's"
    assert os.listdir(tmp_path) == ["a.png"]


def test_names_of_the_longest_kind_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".png")
    write_whole(path, b"x")
    assert path.read_bytes() == b"x"


def test_an_input_is_refused_as_output_through_any_link(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    source.write_bytes(b"x")
    hard, soft = tmp_path / "hard.png", tmp_path / "soft.png"
    os.link(source, hard)
    soft.symlink_to(source)
    for output in (source, hard, soft, tmp_path / "." / "in.png"):
        with pytest.raises(ValueError, match="also an input"):
            check_output_file(output, SUFFIXES, (None, source), overwrite=True)


def test_output_files_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "there.png").write_bytes(b"x")
    cases = {
        "a.gif": "cannot write this format",
        "a": "cannot write this format",
        "missing/a.png": "does not exist; create it",
        "there.png/a.png": "does not exist; create it",
        "folder.png": "is a folder",
        "there.png": "give --overwrite",
    }
    for name, reason in cases.items():
        with pytest.raises(ValueError, match=reason):
            check_output_file(tmp_path / name, SUFFIXES, (), overwrite=False)
    check_output_file(tmp_path / "there.png", SUFFIXES, (), overwrite=True)
    check_output_file(tmp_path / "new.PNG", SUFFIXES, (), overwrite=False)


def test_protected_places_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there.png").write_bytes(b"x")
    # the test may run as a user who may write everywhere
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).is_dir() and Path(path) != tmp_path / "locked")
    (tmp_path / "locked").mkdir()
    with pytest.raises(ValueError, match="cannot be written to"):
        check_output_file(tmp_path / "locked" / "a.png", SUFFIXES, (), overwrite=False)
    with pytest.raises(ValueError, match="write-protected"):
        check_output_file(tmp_path / "there.png", SUFFIXES, (), overwrite=True)
    with pytest.raises(ValueError, match="cannot be written to"):
        check_output_folder(tmp_path / "locked", tmp_path)


def test_output_folders_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    source, link, file = tmp_path / "in", tmp_path / "link", tmp_path / "file"
    source.mkdir()
    link.symlink_to(source)
    file.write_bytes(b"x")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    for output in (source, link, source / ".." / "in"):
        with pytest.raises(ValueError, match="input itself"):
            check_output_folder(output, source)
    for output in (file, dangling):
        with pytest.raises(ValueError, match="not a folder"):
            check_output_folder(output, source)
    with pytest.raises(ValueError, match="create it first"):
        check_output_folder(tmp_path / "a" / "b", source)
    check_output_folder(tmp_path / "new", source)
    check_output_folder(tmp_path / "new.png", source)
    with pytest.raises(ValueError, match="is the name of a file, but the input"):
        check_output_folder(tmp_path / "new.png", source, SUFFIXES)
    (tmp_path / "new.png").mkdir()
    check_output_folder(tmp_path / "new.png", source, SUFFIXES)
