"""Files of preset settings: what is written is read back, and what is not such a file is refused."""

import json

import pytest

from daep_prior.schedules import annealed, fast, read_settings, shipped_settings, write_settings


@pytest.fixture
def path(tmp_path):
    return tmp_path / "settings.json"


@pytest.fixture
def content(path):
    """The shipped settings as they are in a file."""
    write_settings(path, shipped_settings(), network="dae", origin="a test")
    return json.loads(path.read_text())


def test_what_is_written_is_read_back_exactly(path):
    write_settings(path, shipped_settings(), network="dae", origin="a test", search={"crops": [["a[1].jpg", 0, 1]]})
    assert read_settings(path) == shipped_settings()
    assert json.loads(path.read_text())["search"] == {"crops": [["a[1].jpg", 0, 1]]}


def test_a_pair_of_numbers_is_one_line(path, content):
    assert '"widths": [140.0, 5.0]' in path.read_text()


def test_a_preset_uses_the_numbers_of_the_file(path, content):
    content["levels"]["2.55"]["fast"]["weights"] = [7.0, 7.0]
    content["levels"]["2.55"]["fast_final_width"] = 11.0
    path.write_text(json.dumps(content))
    schedule = fast(2.55 / 255, settings=read_settings(path))
    assert schedule.prior_weight[0] == pytest.approx(7 / (2 * schedule.kernel_width[0] ** 2))
    assert schedule.final_width == pytest.approx(11 / 255)


def test_one_level_serves_all_noise(path, content):
    content["levels"] = {"7.65": content["levels"]["7.65"]}
    path.write_text(json.dumps(content))
    table = read_settings(path)
    assert annealed(1 / 255, settings=table) == annealed(50 / 255, settings=table) == annealed(7.65 / 255)


def test_numbers_for_circular_blurs_are_between_those_of_their_levels(path, content):
    low, high = content["circular"]["2.55"], content["circular"]["7.65"]
    content["circular"] = {"2.55": {**low, "fast_final_width": 2.0}, "7.65": {**high, "fast_final_width": 8.0}}
    path.write_text(json.dumps(content))
    table = read_settings(path)
    assert table.circular_at((2.55 * 7.65) ** 0.5 / 255).fast_final_width == pytest.approx(4.0)
    assert table.circular_at(50 / 255).fast_final_width == 8.0
    assert table.circular_at(0.0) is None


def test_a_file_without_numbers_for_circular_blurs_is_read(path, content):
    del content["circular"]
    path.write_text(json.dumps(content))
    assert read_settings(path).circular_at(0.01) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("levels"), "'levels' is missing"),
        (lambda c: c["levels"].clear(), r"levels: got \[\]; expected noise levels above 0, at least one"),
        (lambda c: c["levels"].update({"0": c["noise_free"]}), "expected noise levels above 0"),
        (lambda c: c["noise_free"].pop("gradient"), "gradient"),
        (
            lambda c: c["circular"].update({"-1": c["circular"]["2.55"]}),
            "circular: got .* expected noise levels above 0",
        ),
        (
            lambda c: c["circular"]["2.55"].update(fast_final_width=0),
            "fast_final_width: got 0; expected a number above",
        ),
        (lambda c: c["noise_free"].update(speed=1.0), "speed"),
        (lambda c: c["noise_free"].update(final_width=0), "final_width: got 0; expected a number above 0"),
        (lambda c: c["noise_free"].update(final_width=float("nan")), "final_width: got nan"),
        (lambda c: c["noise_free"]["fast"].update(widths=[70.0]), r"widths: got \(70.0,\); expected two numbers"),
        (lambda c: c["noise_free"]["fast"].update(weights=[1.0, -1.0]), "weights: got .* expected two numbers above 0"),
        (lambda c: c["noise_free"]["fast"].update(steps=["1", "2"]), "settings: got"),
        (
            lambda c: c["noise_free"]["fast"].update(momentum=[0.5, 1.0]),
            r"momentum: got .* expected two numbers in \[0, 1",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said(path, content, change, message):
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", "not JSON"])
def test_another_file_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match=r"settings: got .* expected a file of benchmarks/tune_presets.py"):
        read_settings(path)


def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match=r"settings\.json"):
        read_settings(path)
