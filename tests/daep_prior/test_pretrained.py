"""Weight files: what goes in comes out; a damaged or hostile file is a ValueError, never a crash or a wrong network."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from daep_prior import load_dae, save_dae, shipped_networks
from daep_prior.networks import ConvDAE, UNetDAE
from daep_prior.pretrained import read_card, read_safetensors, write_safetensors
from daep_prior.pretrained.loading import FORMAT

SIGMA = 25 / 255


def small() -> ConvDAE:
    torch.manual_seed(0)
    return ConvDAE(sigma=SIGMA, depth=3, width=4)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good weight file."""
    save_dae(small(), tmp_path / "good.safetensors", {"steps": 7})
    return tmp_path / "good.safetensors"


def rewrite(path: Path, metadata: dict[str, str] | None = None, **changes: Any) -> Path:
    """The file with other metadata, other configuration entries, or other tensors."""
    tensors, old = read_safetensors(path)
    config = {**json.loads(old["config"]), **changes}
    other = path.with_name("other.safetensors")
    save_file(tensors, other, {**old, "config": json.dumps(config)} if metadata is None else metadata)
    return other


# -- good files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dae",
    [
        small(),
        small().fold(),
        ConvDAE(sigma=None, sigma_range=(0.0, 0.3), depth=3, width=4),
        UNetDAE(widths=(4, 6), blocks=1),
        UNetDAE(widths=(4,), blocks=1, sigma_range=None, sigma=0.1),
    ],
    ids=["conv", "conv folded", "conv conditional", "unet", "unet one level"],
)
def test_a_saved_network_comes_back(tmp_path, dae):
    path = tmp_path / "net.safetensors"
    save_dae(dae, path, {"steps": 7, "data": "photographs"})
    loaded = load_dae(path)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert loaded.sigma == dae.sigma and loaded.sigma_range == dae.sigma_range
    x = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        assert torch.equal(loaded(x, SIGMA), dae.fold()(x, SIGMA))
    assert read_card(path) == {"steps": 7, "data": "photographs"}
    assert load_dae(str(path)).config() == loaded.config()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_stored_in_another_type_are_taken(file, dtype):
    tensors, metadata = read_safetensors(file)
    write_safetensors({k: v.to(dtype) for k, v in tensors.items()}, file, metadata)
    assert all(p.dtype == torch.float32 for p in load_dae(file).parameters())


def test_loading_draws_nothing_from_the_users_random_state(file):
    state = torch.get_rng_state()
    load_dae(file)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loaded_network_survives_the_file(file):
    dae, x = load_dae(file), torch.rand(1, 3, 8, 8)
    before = dae(x)
    file.write_bytes(b"")
    assert torch.equal(dae.float()(x), before)


@pytest.mark.parametrize("name", shipped_networks())
def test_shipped_networks_load_by_name_and_denoise(name):
    dae = load_dae(name)
    level = dae.sigma or 25 / 255
    ramp = torch.linspace(0.2, 0.8, 48).expand(1, 3, 48, 48)
    noisy = ramp + level * torch.randn(ramp.shape, generator=torch.Generator().manual_seed(0))
    error = (dae(noisy, level) - ramp).square().mean()
    assert error < 0.1 * (noisy - ramp).square().mean()
    assert read_card(name)


# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_no_litter(file, monkeypatch):
    before = file.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_dae(small(), file)
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_weights_that_could_not_be_read_back_are_not_written(file):
    before, dae = file.read_bytes(), small()
    dae.body[0].weight.data[0] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        save_dae(dae, file)
    assert file.read_bytes() == before


# -- bad names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no-such-net", "missing.safetensors", "missing.caffemodel", "", "sub/dae"])
def test_what_does_not_exist_is_a_file_not_found(name):
    with pytest.raises(FileNotFoundError):
        load_dae(name)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(FileNotFoundError, match=", ".join(shipped_networks()) or "none"):
        load_dae("no-such-net")


class _Bomb:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".ckpt", ".bin"])
def test_a_pickle_is_refused_unopened(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"net{suffix}"
    path.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(ValueError, match="pickle"):
        load_dae(path)
    path = path.rename(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="not a readable"):
        load_dae(path)
    assert not (tmp_path / "exploded").exists()


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "net.onnx").touch()
    with pytest.raises(ValueError, match="known kind"):
        load_dae(tmp_path / "net.onnx")


def test_a_folder_is_no_weight_file(tmp_path):
    (tmp_path / "net.safetensors").mkdir()
    with pytest.raises(FileNotFoundError):
        load_dae(tmp_path / "net.safetensors")


# -- damaged and hostile files ---------------------------------------------------------------------------------------


def test_a_truncated_file_is_refused_wherever_it_ends(file):
    content = file.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"other\.|good\.safetensors"):
            load_dae(file)


def test_random_damage_is_a_value_error_or_another_finite_network(file):
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    header = 8 + int.from_bytes(content[:8].tobytes(), "little")
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(400):
        damaged = content.copy()
        places = rng.integers(0, header if trial % 4 else len(content), rng.integers(1, 6))
        damaged[places] = rng.integers(0, 256, len(places), dtype=np.uint8)
        file.write_bytes(damaged.tobytes())
        try:
            dae = load_dae(file)
        except ValueError:
            refused += 1
        else:
            assert all(bool(p.isfinite().all()) for p in dae.parameters())
    assert refused > 200


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 4) + b"null",
    ],
    ids=["size 2^63", "size 2^40", "list", "deep", "null"],
)
def test_a_hostile_header_is_refused(file, header):
    file.write_bytes(header)
    with pytest.raises(ValueError, match="not a readable"):
        load_dae(file)


@pytest.mark.parametrize("dtype", ["F64", "I8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "C64", "U64", "X9"])
def test_a_tensor_of_another_type_is_refused(file, dtype):
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    name = next(k for k in header if k != "__metadata__")
    width = {"F64": 8, "I8": 1, "BOOL": 1, "C64": 8, "U64": 8}.get(dtype, 1)
    begin, end = header[name]["data_offsets"]
    header[name] |= {"dtype": dtype, "shape": [(end - begin) // width]}
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    with pytest.raises(ValueError, match=str(file.name)):
        load_dae(file)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_weights_that_are_no_real_numbers_are_refused_or_converted(file, dtype):
    tensors, metadata = read_safetensors(file)
    try:
        save_file({k: torch.zeros_like(v).to(dtype) for k, v in tensors.items()}, file, metadata)
    except KeyError:
        pytest.skip(f"this version of safetensors knows no {dtype}")
    if dtype.is_floating_point:
        assert load_dae(file)
    else:
        with pytest.raises(ValueError, match="floating-point"):
            load_dae(file)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_weights_that_are_not_finite_are_refused(file, value, dtype):
    tensors, metadata = read_safetensors(file)
    tensors = {k: v.to(dtype) for k, v in tensors.items()}
    tensors["body.0.weight"].view(-1)[-1] = value
    save_file(tensors, file, metadata)
    with pytest.raises(ValueError, match="finite"):
        load_dae(file)


def test_weights_that_become_infinite_when_they_are_folded_are_refused(tmp_path):
    network = ConvDAE(depth=3, width=4)
    with torch.no_grad():
        network.body[2].weight.fill_(1e38)
        network.body[3].running_var.fill_(0)
    save_dae(network, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="normalisation layers make the weights infinite"):
        load_dae(tmp_path / "net.safetensors")


def test_weights_too_large_for_float32_are_refused(file):
    tensors, metadata = read_safetensors(file)
    tensors["body.0.weight"] = tensors["body.0.weight"].double() + 1e300
    save_file(tensors, file, metadata)
    with pytest.raises(ValueError, match="finite"):
        load_dae(file)


def test_negative_variances_are_refused(file):
    tensors, metadata = read_safetensors(file)
    tensors["body.3.running_var"].fill_(-1)
    save_file(tensors, file, metadata)
    with pytest.raises(ValueError, match="variance"):
        load_dae(file)


@pytest.mark.parametrize("change", ["missing", "extra", "misshapen", "transposed", "renamed"])
def test_tensors_that_do_not_fit_the_configuration_are_refused(file, change):
    tensors, metadata = read_safetensors(file)
    weight = tensors.pop("body.0.weight")
    if change == "extra":
        tensors |= {"body.0.weight": weight, "body.9.weight": weight.clone()}
    elif change == "misshapen":
        tensors["body.0.weight"] = weight[:, :2].contiguous()
    elif change == "transposed":
        tensors["body.0.weight"] = weight.transpose(0, 1).contiguous()
    elif change == "renamed":
        tensors["conv0.weight"] = weight
    save_file(tensors, file, metadata)
    with pytest.raises(ValueError, match="names and shapes"):
        load_dae(file)


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "transformer"},
        {"architecture": None},
        {"heads": 8},
        {"depth": 10**12},
        {"width": 10**12},
        {"width": 10**5},
        {"width": -4},
        {"depth": -1},
        {"depth": "3"},
        {"depth": 3.5},
        {"depth": [3]},
        {"depth": float("inf")},
        {"depth": float("nan")},
        {"sigma": None},
        {"sigma": "a lot"},
        {"sigma": -1.0},
        {"sigma": float("nan")},
        {"sigma": None, "sigma_range": [0.5, 0.1]},
        {"sigma": None, "sigma_range": 3},
        {"sigma": None, "sigma_range": ["a", "b"]},
        {"architecture": "unet", "widths": [10**9], "blocks": 1},
        {"architecture": "unet", "widths": [4] * 10**5, "blocks": 1},
        {"architecture": "unet", "widths": [4], "blocks": 10**12},
    ],
    ids=lambda changes: ", ".join(f"{k}={str(v)[:20]}" for k, v in changes.items()),
)
def test_a_configuration_that_cannot_be_is_refused_before_anything_is_built(file, changes):
    with pytest.raises(ValueError, match="configuration"):
        load_dae(rewrite(file, **changes))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"format": "daep-prior/2", "config": "{}"},
        {"format": FORMAT},
        {"format": FORMAT, "config": "not json"},
        {"format": FORMAT, "config": "[]"},
        {"format": FORMAT, "config": "3"},
        {"format": FORMAT, "config": "null"},
        {"format": FORMAT, "config": "[" * 100_000},
        {"format": FORMAT, "config": json.dumps(small().config()), "card": "7"},
    ],
    ids=lambda m: str(m)[:40],
)
def test_metadata_that_is_missing_or_senseless_is_refused(file, metadata):
    with pytest.raises(ValueError, match=r"metadata|configuration"):
        load_dae(rewrite(file, metadata))


def test_foreign_safetensors_are_refused_with_a_hint(data_folder):
    with pytest.raises(ValueError, match="save_dae"):
        load_dae(data_folder / "peers" / "fdncnn_color.safetensors")
