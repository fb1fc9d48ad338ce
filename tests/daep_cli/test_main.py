"""The shell's view: help, exit statuses, and one sentence for every foreseen error."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
import typer

from daep_cli import main as command_line
from daep_cli.commands.shared_options import PRESETS
from daep_cli.errors import explain, named, one_line
from daep_prior import schedules, shipped_networks

COMMANDS = sorted(typer.main.get_command(command_line.app).commands)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_is_status_0_and_shows_how_to_begin(daep, command: list[str]) -> None:
    outcome = daep(*command, "--help")
    assert outcome.status == 0
    assert "daep" in outcome.out
    if command:
        assert "Examples" in outcome.out
        assert outcome.out.count(f"daep {command[0]}") >= 2  # the usage line, and at least one example


def test_without_arguments_it_shows_its_help_and_no_error(daep) -> None:
    outcome = daep()
    assert (outcome.status, outcome.err) == (2, "")
    assert "restore" in outcome.out


def test_the_shell_completes_commands_and_values(environment: dict[str, str]) -> None:
    def completed(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_DAEP_COMPLETE": "complete_bash"}
        code = "import sys; from daep_cli.main import main; status = main([]); assert 'torch' not in sys.modules"
        ran = subprocess.run(
            [sys.executable, "-c", code], env={**environment, **words}, capture_output=True, text=True, check=False
        )
        return ran.stdout.split()

    assert "restore" in completed("daep re")
    assert completed("daep restore --preset paper-") == ["paper-sr"]


def test_the_presets_that_are_completed_are_those_that_there_are() -> None:
    assert set(PRESETS) == set(schedules.PRESETS)


def test_help_does_not_wait_for_torch(environment: dict[str, str]) -> None:
    code = "import sys; from daep_cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("nonsense", "nonsense"),
        ("restore", "IN"),
        ("restore {photo}", "-o"),
        ("compare {photo}", "--output"),
        ("restore a.png -o", "-o"),
        ("restore {photo} b.png -o c.png", "b.png"),
        ("restore a.png -o b.png --nois 5", "--nois"),
        ("info --magic", "--magic"),
        ("info --device=", "--device"),
        ("restore a.png -o b.png --overwrite=yes", "--overwrite"),
        ("restore a.png -o b.png --seed 1.5", "--seed"),
        ("train a -o b.safetensors --learning-rate fast", "--learning-rate"),
        ("train a -o b.safetensors --network big", "--network"),
        ("demo --image dog", "--image"),
    ],
)
def test_usage_errors_are_one_line_that_names_the_option(refused, photo, arguments: str, named: str) -> None:
    assert named in refused(*arguments.format(photo=photo).split(" "))


def test_the_version_is_shown_without_waiting_for_torch(environment: dict[str, str]) -> None:
    code = "import sys; from daep_cli.main import main; status = main(['--version']); assert 'torch' not in sys.modules"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(status)"], env=environment, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"daep-prior (\d+\.\d+\S*|not installed as a package)\n", ran.stdout)


def test_files_that_are_missing_or_in_the_way_are_refused_without_waiting_for_torch(
    environment: dict[str, str], photo, tmp_path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    there = tmp_path / "there.png"
    there.write_bytes(b"mine")
    commands = [
        ["restore", "none.png", "-o", "out.png", "--noise", "5"],
        ["restore", photo, "-o", "out.gif", "--noise", "5"],
        ["restore", photo, "-o", there, "--noise", "5"],
        ["restore", photo, "-o", photo, "--noise", "5"],
        ["restore", photo, "-o", folder, "--noise", "5"],
        ["restore", folder, "-o", "none/out", "--noise", "5"],
        ["compare", "none.png", "-o", "out", "--noise", "5"],
        ["demo", "-o", there],
        ["train", "none", "-o", "out.safetensors"],
    ]
    code = f"""if True:
        import sys
        from daep_cli.main import main
        assert [main(command) for command in {[[str(a) for a in c] for c in commands]}] == {len(commands)} * [2]
        assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stderr=subprocess.DEVNULL, cwd=tmp_path)
    assert there.read_bytes() == b"mine"


def test_info_names_what_results_depend_on(daep) -> None:
    outcome = daep("info")
    assert outcome.status == 0
    assert len({len(line) - len(line.split("  ", 1)[1].lstrip()) for line in outcome.out.splitlines()}) == 1  # a table
    for word in ("daep-prior", "deepinv", "torch", "Python", "device", "convolutions", "channels-last"):
        assert word in outcome.out
    for name in shipped_networks():
        (line,) = (line for line in outcome.out.splitlines() if line.startswith(f"network {name} "))
        does = "removes noise and the traces" if name == "dae-blind" else r"denoises .* \d\d\.\d\d dB at 25"
        assert re.search(rf"\d+\.\d\d M parameters; {does}", line)


def test_info_refuses_a_device_that_is_not_there(refused) -> None:
    assert "--device toaster" in refused("info", "--device", "toaster")


def test_bugs_keep_their_traceback(daep, monkeypatch: pytest.MonkeyPatch) -> None:
    from daep_prior import pretrained

    for bug in (TypeError("bug"), RuntimeError("shape mismatch"), NotImplementedError("later")):

        def fail(*_: object, bug: Exception = bug) -> None:
            raise bug

        monkeypatch.setattr(pretrained, "read_card", fail)
        with pytest.raises(type(bug)):
            daep("info")


def test_messages_are_one_printable_line() -> None:
    assert one_line("a\nb\t c\x1b[31m\x07") == "a b c?[31m?"
    assert explain(ValueError("two\nlines")) == "two lines"
    assert explain(PermissionError(13, "Permission denied", "f.png")) == (
        "f.png: Permission denied; check who may read and write it."
    )
    assert explain(FloatingPointError("diverged")) == "diverged"
    assert explain(KeyError("bug")) is None


def test_an_option_is_put_before_what_is_wrong_with_its_value() -> None:
    for error, kind, message in (
        (ValueError("w: damaged."), ValueError, "--x w: damaged."),
        (FileNotFoundError("no network named 'w'."), FileNotFoundError, "--x w: no network named 'w'."),
        (ConnectionError("w: cannot be fetched."), ConnectionError, "--x w: cannot be fetched."),
        (ImportError("w: needs a package."), ValueError, "--x w: needs a package."),
        (ModuleNotFoundError("No module named 'x'"), ModuleNotFoundError, "No module named 'x'"),
        (PermissionError(13, "Permission denied", "w"), PermissionError, "[Errno 13] Permission denied: 'w'"),
    ):
        with pytest.raises(kind) as caught, named("--x ", "w"):
            raise error
        assert str(caught.value) == message


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

    monkeypatch.setattr(typer.main, "get_command", interrupt)
    outcome = daep("info")
    assert outcome.status == 130
    assert outcome.err == "daep: interrupted\n"


def test_a_reader_that_leaves_early_ends_it_without_a_word(environment: dict[str, str]) -> None:
    """As in ``daep info | head -1``."""
    cards = "daep_prior.shipped_networks = lambda: map(str, range(9999)); pretrained.read_card = lambda _: card"
    code = "import sys; import daep_prior; from daep_prior import pretrained; from daep_cli.main import main; "
    code += f"card = pretrained.read_card('dae'); {cards}; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "info"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE


def test_sigterm_acts_as_ctrl_c_while_a_command_runs(monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    def ended() -> None:
        signal.raise_signal(signal.SIGTERM)

    app = typer.Typer()
    app.command()(ended)
    monkeypatch.setattr(command_line, "app", app)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert command_line.main([]) == 130
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of another: it stays
        assert command_line.main([]) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr().err == "daep: interrupted\n"
