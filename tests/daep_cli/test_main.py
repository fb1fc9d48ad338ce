"""The shell's view: help, exit statuses, and one sentence for every foreseen error."""

from __future__ import annotations

import subprocess
import sys

import pytest

from daep_cli import main as command_line
from daep_cli.errors import explain, one_line


@pytest.mark.parametrize("command", [[], ["restore"], ["demo"], ["train"], ["info"]])
def test_help_is_status_0_and_shows_how_to_begin(daep, command: list[str]) -> None:
    outcome = daep(*command, "--help")
    assert outcome.status == 0
    assert "daep" in outcome.out
    if command in (["restore"], ["train"], ["demo"]):
        assert "Examples" in outcome.out
        assert f"daep {command[0]}" in outcome.out


def test_help_does_not_wait_for_torch(environment: dict[str, str]) -> None:
    code = "import sys; from daep_cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL)


def test_usage_errors_are_one_line(refused) -> None:
    refused("nonsense")
    assert "--output" in refused("restore", "a.png")
    refused("restore")
    refused("restore", "a.png", "-o")


def test_info_names_what_results_depend_on(daep) -> None:
    outcome = daep("info")
    assert outcome.status == 0
    for word in ("daep-prior", "deepinv", "torch", "device", "convolutions", "networks"):
        assert word in outcome.out


def test_info_refuses_a_device_that_is_not_there(refused) -> None:
    assert "--device toaster" in refused("info", "--device", "toaster")


def test_bugs_keep_their_traceback(daep, monkeypatch: pytest.MonkeyPatch) -> None:
    from daep_cli import info

    for bug in (TypeError("bug"), RuntimeError("shape mismatch"), NotImplementedError("later")):

        def fail(*_: object, bug: Exception = bug) -> None:
            raise bug

        monkeypatch.setattr(info, "facts", fail)
        with pytest.raises(type(bug)):
            daep("info")


def test_messages_are_one_printable_line() -> None:
    assert one_line("a\nb\t c\x1b[31m\x07") == "a b c?[31m?"
    assert explain(ValueError("two\nlines")) == "two lines"
    assert explain(PermissionError(13, "Permission denied", "f.png")) == "f.png: Permission denied."
    assert explain(FloatingPointError("diverged")) == "diverged"
    assert explain(KeyError("bug")) is None


def test_the_module_can_be_run(environment: dict[str, str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "daep_cli", "restore", "none.png", "-o", "out.png"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith("daep: error: ")
    assert ran.stderr.count("\n") == 1


def test_ctrl_c_anywhere_is_status_130(daep, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "app", interrupt)
    outcome = daep("info")
    assert outcome.status == 130
    assert outcome.err == "daep: interrupted\n"
