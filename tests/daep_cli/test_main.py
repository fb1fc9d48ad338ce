"""The shell's view: help, exit statuses, and one sentence for every foreseen error."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from daep_cli import main as command_line
from daep_cli.errors import explain, named, one_line
from daep_prior import shipped_networks

COMMANDS = sorted(command_line._command().commands)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_is_status_0_and_shows_how_to_begin(daep, command: list[str]) -> None:
    outcome = daep(*command, "--help")
    assert outcome.status == 0
    assert "daep" in outcome.out
    assert "completion " not in outcome.out.replace("--install-completion makes", "")  # its options are not listed
    if command:
        assert "Examples" in outcome.out
        assert outcome.out.count(f"daep {command[0]}") >= 2  # the usage line, and at least one example
    assert not re.search(r"[{}]|<bool>|BOOLEAN", outcome.out)


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
    from daep_deepinv.reconstructor import PRESETS

    assert set(command_line.PRESETS) == set(PRESETS)


def test_help_does_not_wait_for_torch(environment: dict[str, str]) -> None:
    code = "import sys; from daep_cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nonsense", "nonsense: no such command; daep --help shows what is expected."),
        ("restore", "IN is missing; daep restore --help shows what is expected."),
        ("restore a.png", "OUT (-o, --output) is missing; daep restore --help shows what is expected."),
        ("restore a.png -o", "-o: a value is missing behind it; daep "),
        ("restore a.png b.png -o c.png", "b.png: more than the one name that is taken; daep restore --help shows"),
        (
            "restore a.png -o b.png --nois 5",
            "--nois: no such option; is --check-noise or --denoiser or --noise meant? daep restore --help",
        ),
        ("info --magic", "--magic: no such option; daep info --help shows"),
        ("info --device=", "--device : "),
        ("restore a.png -o b.png --overwrite=yes", "--overwrite: takes no value; daep "),
        ("restore a.png -o b.png --seed 1.5", "--seed 1.5: expected a whole number."),
        ("train a -o b.safetensors --learning-rate fast", "--learning-rate fast: expected a number."),
        ("train a -o b.safetensors --network big", "--network big: expected one of paper, unet."),
        ("demo --image dog", "--image dog: expected one of astronaut, chelsea, coffee."),
    ],
)
def test_usage_errors_are_one_line_in_our_own_words(refused, arguments: str, line: str) -> None:
    assert refused(*arguments.split(" ")).startswith(f"daep: error: {line}")


def test_complaints_of_other_versions_of_the_option_parser_read_the_same() -> None:
    class Complaint(Exception):
        def __init__(self, message: str, **attributes: object):
            super().__init__(message)
            self.message = message
            vars(self).update(attributes)

        def format_message(self) -> str:
            return f"Invalid value for '--scale': {self.message}" if hasattr(self, "param") else self.message

    scale = SimpleNamespace(opts=["-s", "--scale"], metavar="N", name="scale")
    told = {
        "'2.5' is not a valid integer.": "--scale 2.5: expected a whole number.",
        "'x' is not a valid float.": "--scale x: expected a number.",
        "'x' is not one of 'a', 'b'.": "--scale x: expected one of a, b.",
        "Odd.": "Invalid value for '--scale': Odd; daep --help shows what is expected.",
    }
    for message, expected in told.items():
        assert explain(Complaint(message, param=scale)) == expected
    assert explain(Complaint("Odd.")) == "Odd; daep --help shows what is expected."
    assert explain(Complaint("Got unexpected extra argument (b)")).startswith("b: more than")


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
        assert re.search(r"\d+\.\d\d M parameters; denoises .* \d\d\.\d\d dB at 25", line)


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

    monkeypatch.setattr(command_line, "_command", interrupt)
    outcome = daep("info")
    assert outcome.status == 130
    assert outcome.err == "daep: interrupted\n"


def test_a_reader_that_leaves_early_ends_it_without_a_word(environment: dict[str, str]) -> None:
    """As in ``daep info | head -1``."""
    facts = "info.facts = lambda *_: [('x', 'y')] * 9999"
    code = f"import sys; from daep_cli import main, info; {facts}; sys.exit(main.main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "info"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
