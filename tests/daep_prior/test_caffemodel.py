"""The paper authors' files: conventions undone exactly, damage refused.

The files read here are written by hand, byte by byte, so that the reader's own schema is tested and not assumed.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior import load_dae
from daep_prior.pretrained.caffemodel import MAX_BYTES, read_caffemodel

pytest.importorskip("google.protobuf")

DEPTH, WIDTH, EPS = 4, 5, 1e-5
Blobs = dict[str, list[np.ndarray]]


# -- a writer --------------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(values: np.ndarray, legacy: bool = False) -> bytes:
    data = field(5, np.asarray(values, "<f4").tobytes())
    if legacy:  # num, channels, height, width; the data one tagged number at a time
        four = (1,) * (4 - values.ndim) + values.shape
        numbers = b"".join(varint(5 << 3 | 5) + struct.pack("<f", v) for v in values.ravel())
        return b"".join(field(i, n) for i, n in enumerate(four, start=1)) + numbers
    return data + field(7, field(1, b"".join(varint(n) for n in values.shape)))


def layer(name: str, kind: str, blobs: list[np.ndarray] = (), extra: bytes = b"", legacy: bool = False) -> bytes:  # type: ignore[assignment]
    content = field(1, name.encode()) + field(2, kind.encode()) + b"".join(field(7, blob(b, legacy)) for b in blobs)
    return field(100, content + extra)


def noise_layer(std: float) -> bytes:
    filler = field(1, b"gaussian") + varint(6 << 3 | 5) + struct.pack("<f", std)
    return layer("dummyNoise", "DummyData", extra=field(109, field(1, filler)))


def random_blobs(depth: int = DEPTH, width: int = WIDTH) -> Blobs:
    rng = np.random.default_rng(0)
    blobs: Blobs = {}
    for i in range(1, depth + 1):
        shape = (3 if i == depth else width, 3 if i == 1 else width, 3, 3)
        blobs[f"conv{i}"] = [rng.normal(0, 0.3, shape), rng.normal(0, 1, shape[0])]
        if 1 < i < depth:
            factor = 1000.0 + i
            statistics = [rng.normal(0, 1, width), rng.uniform(0.5, 3, width)]
            blobs[f"bn{i}"] = [*(factor * s for s in statistics), np.array([factor])]
    return blobs


def write(path: Path, blobs: Blobs, prefix: bytes = b"", legacy: bool = False) -> Path:
    kinds = {"conv": "Convolution", "bn": "BatchNorm"}
    layers = [layer(name, kinds[name.rstrip("0123456789")], b, legacy=legacy) for name, b in blobs.items()]
    ignored = layer("rgb2gray", "Convolution", [np.full((1, 3, 1, 1), 1 / 3)]) + layer("relu1", "ReLU")
    path.write_bytes(field(1, b"DAE") + prefix + ignored + b"".join(layers) + layer("L2loss", "EuclideanLoss"))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "net.caffemodel", random_blobs())


def caffe_forward(blobs: Blobs, x: Tensor, eps: float = EPS) -> Tensor:
    """What Caffe computes: BGR images of 0..255, output = input + residual."""
    z = x
    depth = sum(name.startswith("conv") for name in blobs)
    for i in range(1, depth + 1):
        weight, bias = (torch.from_numpy(b).float().double() for b in blobs[f"conv{i}"])
        z = F.conv2d(z, weight, bias, padding=1)
        if f"bn{i}" in blobs:
            mean, variance, factor = (torch.from_numpy(b).float().double() for b in blobs[f"bn{i}"])
            mean, variance = mean / factor, variance / factor
            z = (z - mean.reshape(1, -1, 1, 1)) / (variance.reshape(1, -1, 1, 1) + eps).sqrt()
        if i < depth:
            z = z.relu()
    return x + z


# -- conventions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True], ids=["shape and packed data", "four dimensions, unpacked data"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_output_is_that_of_caffe_up_to_channel_order_and_range(tmp_path, depth, legacy):
    blobs = random_blobs(depth)
    dae = read_caffemodel(write(tmp_path / "net.caffemodel", blobs, legacy=legacy))
    x = torch.rand(2, 3, 11, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = caffe_forward(blobs, 255 * x.flip(1)).flip(1) / 255
    assert (expected - x).abs().max() > 0.01
    assert torch.allclose(dae(x), expected, atol=1e-4 * float((expected - x).abs().max()))


def test_a_file_with_its_own_eps_is_read_with_it(tmp_path):
    blobs, own = random_blobs(), 0.5
    content = write(tmp_path / "net.caffemodel", {k: v for k, v in blobs.items() if k[0] == "c"}).read_bytes()
    extra = field(139, varint(3 << 3 | 5) + struct.pack("<f", own))
    norms = b"".join(layer(k, "BatchNorm", v, extra) for k, v in blobs.items() if k[0] == "b")
    (tmp_path / "net.caffemodel").write_bytes(content + norms)
    dae = read_caffemodel(tmp_path / "net.caffemodel")
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    expected = caffe_forward(blobs, 255 * x.flip(1), own).flip(1) / 255
    assert torch.allclose(dae(x), expected, atol=1e-4 * float((expected - x).abs().max()))


def test_the_network_comes_ready_for_use(file):
    state = torch.get_rng_state()
    for dae in (read_caffemodel(file), load_dae(file)):
        assert torch.equal(torch.get_rng_state(), state)  # the user's
        assert not dae.training and not any(p.requires_grad for p in dae.parameters())
        assert (dae.depth, dae.width, dae.batch_norm) == (DEPTH, WIDTH, False)


@pytest.mark.parametrize(
    ("name", "std", "argument", "expected"),
    [
        ("net", None, None, 25),
        ("DAE_sigma11", None, None, 11),
        ("DAE_sigma11", 7.0, None, 7),
        ("DAE_sigma11", 7.0, 3 / 255, 3),
        ("DAE_sigma1234", None, None, 25),
        ("DAE_sigma0", None, None, 25),
        ("DAE_sigma11", -1.0, None, 11),
    ],
)
def test_the_noise_level_comes_from_the_caller_or_the_file_or_its_name(tmp_path, name, std, argument, expected):
    prefix = b"" if std is None else noise_layer(std)
    path = write(tmp_path / f"{name}.caffemodel", random_blobs(), prefix)
    assert read_caffemodel(path, argument).sigma == pytest.approx(expected / 255)


# -- damage ----------------------------------------------------------------------------------------------------------


def _drop(name: str) -> Callable[[Blobs], Any]:
    return lambda blobs: blobs.pop(name)


def _put(name: str, index: int, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Blobs], Any]:
    def apply(blobs: Blobs) -> None:
        blobs[name][index] = change(blobs[name][index])

    return apply


def _with(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: np.concatenate([[value], a.ravel()[1:]]).reshape(a.shape)


DAMAGE: dict[str, Callable[[Blobs], Any]] = {
    "no layers": lambda blobs: blobs.clear(),
    "first convolution missing": _drop("conv1"),
    "middle convolution missing": _drop("conv2"),
    "normalisation missing": _drop("bn3"),
    "normalisation too many": lambda blobs: blobs.update(bn1=blobs["bn2"]),
    "number too high": lambda blobs: blobs.update(conv9=blobs["conv2"]),
    "bias missing": lambda blobs: blobs["conv2"].pop(),
    "no blobs": lambda blobs: blobs["conv1"].clear(),
    "factor missing": lambda blobs: blobs["bn2"].pop(),
    "grey input": _put("conv1", 0, lambda a: a[:, :1]),
    "grey output": _put("conv4", 0, lambda a: a[:1]),
    "5 x 5": _put("conv2", 0, lambda a: np.zeros((WIDTH, WIDTH, 5, 5))),
    "another width": _put("conv2", 0, lambda a: a[:2]),
    "misshapen mean": _put("bn2", 0, lambda a: a[:2]),
    "NaN weight": _put("conv3", 0, _with(np.nan)),
    "infinite bias": _put("conv3", 1, _with(np.inf)),
    "NaN mean": _put("bn2", 0, _with(np.nan)),
    "negative variance": _put("bn2", 1, _with(-1.0)),
    "zero factor": _put("bn2", 2, _with(0.0)),
    "negative factor": _put("bn2", 2, _with(-1.0)),
    "overflow": lambda blobs: (_put("bn2", 1, lambda a: 0 * a)(blobs), _put("conv2", 0, _with(3e38))(blobs)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_network_of_another_kind_is_refused(tmp_path, damage):
    blobs = random_blobs()
    damage(blobs)
    with pytest.raises(ValueError, match="not a network of the paper's kind"):
        read_caffemodel(write(tmp_path / "net.caffemodel", blobs))


def test_a_layer_that_occurs_twice_is_refused(file):
    file.write_bytes(2 * file.read_bytes())
    with pytest.raises(ValueError, match="two layers"):
        read_caffemodel(file)


def test_a_shape_that_promises_more_than_the_file_holds_is_refused(tmp_path):
    weight = field(7, field(5, b"") + field(7, field(1, varint(10**12) + varint(3) + varint(3) + varint(3))))
    names = [f"conv{i}" for i in range(1, 4)]
    content = b"".join(field(100, field(1, name.encode()) + 2 * weight) for name in names)
    content += layer("bn2", "BatchNorm", random_blobs()["bn2"])
    (tmp_path / "net.caffemodel").write_bytes(content)
    with pytest.raises(ValueError, match="1000000000000"):
        read_caffemodel(tmp_path / "net.caffemodel")


def test_a_wide_first_layer_does_not_allocate_the_square_of_its_width(tmp_path):
    blobs = random_blobs()
    blobs["conv1"] = [np.zeros((100_000, 3, 3, 3)), np.zeros(100_000)]
    with pytest.raises(ValueError, match="conv2"):
        read_caffemodel(write(tmp_path / "net.caffemodel", blobs))


def test_a_file_far_too_large_is_refused_unread(tmp_path):
    with open(tmp_path / "net.caffemodel", "wb") as sparse:
        sparse.truncate(MAX_BYTES + 1)
    with pytest.raises(ValueError, match="larger than"):
        read_caffemodel(tmp_path / "net.caffemodel")


def test_a_truncated_file_is_refused_wherever_it_ends(file):
    content = file.read_bytes()
    for length in (0, 1, 10, len(content) // 3, len(content) // 2, len(content) - 40):
        file.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"net\.caffemodel"):
            read_caffemodel(file)


def test_random_damage_is_a_value_error_or_another_finite_network(file):
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = content.copy()
        places = rng.integers(0, len(content), rng.integers(1, 40))
        damaged[places] = rng.integers(0, 256, len(places), dtype=np.uint8)
        file.write_bytes(damaged.tobytes())
        try:
            dae = read_caffemodel(file)
        except ValueError:
            refused += 1
        else:
            assert all(bool(p.isfinite().all()) for p in dae.parameters())
    assert refused > 50


@pytest.mark.parametrize("content", [b"not a network", b"\x89PNG\r\n\x1a\n", bytes(1000), b"\xff" * 1000])
def test_what_is_no_caffemodel_is_refused(tmp_path, content):
    (tmp_path / "net.caffemodel").write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.caffemodel"):
        load_dae(tmp_path / "net.caffemodel")


def test_without_protobuf_the_error_says_what_to_install(file, environment):
    program = (
        "import sys; sys.modules['google.protobuf'] = None\n"
        "from daep_prior import load_dae\n"
        f"try: load_dae({str(file)!r})\n"
        "except ImportError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert "daep-prior[caffe]" in run.stdout


# -- the real thing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [11, 25])
def test_the_authors_networks_denoise_as_published(data_folder, level):
    from PIL import Image

    dae = load_dae(data_folder / "reference" / f"DAE_sigma{level}.caffemodel")
    assert dae.sigma == pytest.approx(level / 255)
    assert (dae.depth, dae.width) == (20, 64)
    clean = torch.from_numpy(np.array(Image.open(data_folder / "set5" / "butterfly.png").convert("RGB"))[:160, :160])
    clean = clean.permute(2, 0, 1)[None].float() / 255
    noise = level / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))

    def psnr(network: Callable[[Tensor], Tensor]) -> float:
        return float(-10 * (network(clean + noise) - clean).square().mean().log10())

    right = psnr(dae)
    assert right > {11: 35.0, 25: 30.5}[level]
    assert right > psnr(lambda x: dae(x.flip(1)).flip(1))  # BGR
