"""Read the paper authors' networks (``.caffemodel``) with the protobuf library and a schema of the few fields needed.

Their files contain the whole training graph. Of it this module reads the convolutions ``conv1 .. convN``, the batch
normalisations ``bn2 .. bn(N-1)`` and the standard deviation of the noise layer. Three conventions differ from ours and
are converted: channels are BGR, images are in [0, 255], and a normalisation stores its statistics multiplied by a
common factor.
"""

from __future__ import annotations

import functools
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from daep_prior.images import RGB
from daep_prior.networks import ConvDAE

__all__ = ["read_caffemodel"]

#: Largest file that is read, bytes. The paper's networks take 2.7 MB. A larger file of empty layers could fill the
#: memory.
MAX_BYTES = 16 * 2**20
#: White in Caffe's images.
CAFFE_PEAK = 255.0
#: The paper's training noise (section 4), for a file that does not state its own.
PAPER_SIGMA = 25 / 255

_PACKAGE = "daep_prior.caffe"
#: message -> field -> (number, type, repeated); numbers as in Caffe's ``caffe.proto``. Strings are declared as bytes,
#: which have the same encoding, so a damaged name is an unknown name and no decoding error.
_SCHEMA: dict[str, dict[str, tuple[int, str, bool]]] = {
    "BlobShape": {"dim": (1, "int64", True)},
    "BlobProto": {
        "num": (1, "int32", False),
        "channels": (2, "int32", False),
        "height": (3, "int32", False),
        "width": (4, "int32", False),
        "data": (5, "float", True),
        "shape": (7, "BlobShape", False),
    },
    "FillerParameter": {"type": (1, "bytes", False), "std": (6, "float", False)},
    "DummyDataParameter": {"data_filler": (1, "FillerParameter", True)},
    "BatchNormParameter": {"eps": (3, "float", False)},
    "LayerParameter": {
        "name": (1, "bytes", False),
        "type": (2, "bytes", False),
        "blobs": (7, "BlobProto", True),
        "dummy_data_param": (109, "DummyDataParameter", False),
        "batch_norm_param": (139, "BatchNormParameter", False),
    },
    "NetParameter": {"name": (1, "bytes", False), "layer": (100, "LayerParameter", True)},
}
#: Caffe's default for ``BatchNormParameter.eps``.
_BATCH_NORM_EPS = 1e-5


def read_caffemodel(path: str | os.PathLike[str], sigma: float | None = None) -> ConvDAE:
    """Read one of the paper authors' trained networks.

    :param str path: ``.caffemodel`` file: 3 x 3 convolutions ``conv1 .. convN`` with biases, ``bn2 .. bn(N-1)`` without
        a scale layer, ReLU between, output = input + residual.
    :param float sigma: noise standard deviation it was trained for, images in [0, 1]. Default: that of the file's
        noise layer, else the digits in a file name like ``DAE_sigma11.caffemodel`` (of 255), else the paper's 25/255.
    :return: the network in its folded form, evaluation mode, parameters frozen; RGB images in [0, 1].
    :raises FileNotFoundError: no such file.
    :raises ImportError: the protobuf library is missing.
    :raises ValueError: not such a network: damaged, too large, layers missing or misshapen, or numbers not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: larger than {MAX_BYTES >> 20} MiB; not a network of the paper's kind.")
    net = _parse(path)
    layers: dict[str, Any] = {}
    for layer in net.layer:
        if re.fullmatch(rb"(conv|bn)[0-9]{1,4}", layer.name):
            name = layer.name.decode()
            if name in layers:
                raise ValueError(f"{path}: it has two layers named {name}.")
            layers[name] = layer
    try:
        return _build(layers, _noise_level(net, path) if sigma is None else sigma)
    except ValueError as error:
        raise ValueError(f"{path}: not a network of the paper's kind: {error}") from error


@functools.cache
def _net_parameter() -> Any:
    """The message class ``NetParameter``, made from :data:`_SCHEMA` in a descriptor pool of its own."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise ImportError(
            "reading a .caffemodel needs the protobuf library: pip install 'daep-prior[caffe]' (or protobuf)."
        ) from error
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="daep_prior/caffe.proto", package=_PACKAGE, syntax="proto2")
    for message_name, fields in _SCHEMA.items():
        message = file.message_type.add(name=message_name)
        for name, (number, type_name, repeated) in fields.items():
            label = kind.LABEL_REPEATED if repeated else kind.LABEL_OPTIONAL
            field = message.field.add(name=name, number=number, label=label)
            if type_name in _SCHEMA:
                field.type, field.type_name = kind.TYPE_MESSAGE, f".{_PACKAGE}.{type_name}"
            else:
                field.type = getattr(kind, f"TYPE_{type_name.upper()}")
                if repeated:
                    field.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.NetParameter"))


def _parse(path: Path) -> Any:
    net = _net_parameter()()
    from google.protobuf.message import DecodeError

    try:
        net.ParseFromString(path.read_bytes())
    except (DecodeError, ValueError) as error:
        raise ValueError(f"{path}: not a readable .caffemodel ({error}); it may be truncated.") from error
    return net


def _noise_level(net: Any, path: Path) -> float:
    for layer in net.layer:
        for filler in layer.dummy_data_param.data_filler:
            if filler.type == b"gaussian" and 0 < filler.std < CAFFE_PEAK:
                return float(filler.std) / CAFFE_PEAK
    digits = re.search(r"sigma(\d{1,3})(?!\d)", path.stem)
    return int(digits[1]) / CAFFE_PEAK if digits and 0 < int(digits[1]) < CAFFE_PEAK else PAPER_SIGMA


def _build(layers: dict[str, Any], sigma: float) -> ConvDAE:
    depth = sum(name.startswith("conv") for name in layers)
    expected = {f"conv{i}" for i in range(1, depth + 1)} | {f"bn{i}" for i in range(2, depth)}
    if depth < 2 or set(layers) != expected:
        odd = sorted(set(layers) ^ expected) or ["conv1", "conv2"]
        raise ValueError(f"expected layers conv1..convN and bn2..bn(N-1); missing or too many: {', '.join(odd[:8])}.")
    # every shape is checked before the network is built, so the size of the file bounds the size of the network
    width = _leading_size(layers["conv1"])
    outputs, inputs = [width] * (depth - 1) + [RGB], [RGB] + [width] * (depth - 1)
    arrays = {
        f"conv{i + 1}": _blobs(layers[f"conv{i + 1}"], (outputs[i], inputs[i], 3, 3), (outputs[i],))
        for i in range(depth)
    }
    arrays |= {f"bn{i}": _blobs(layers[f"bn{i}"], (width,), (width,), (1,)) for i in range(2, depth)}

    with torch.random.fork_rng(devices=[]):  # leaves the user's random state alone
        dae = ConvDAE(sigma=sigma, depth=depth, width=width, batch_norm=True)
    convolutions = [m for m in dae.body.children() if isinstance(m, nn.Conv2d)]
    norms = [m for m in dae.body.children() if isinstance(m, nn.BatchNorm2d)]
    for i, convolution in enumerate(convolutions, start=1):
        weight, bias = arrays[f"conv{i}"]
        if i == 1:
            weight = weight[:, ::-1] * CAFFE_PEAK  # RGB in [0, 1] instead of BGR in [0, 255]
        if i == depth:
            weight, bias = weight[::-1] / CAFFE_PEAK, bias[::-1] / CAFFE_PEAK
        _fill(convolution.weight, weight)
        if convolution.bias is not None:
            _fill(convolution.bias, bias)
    for i, norm in enumerate(norms, start=2):
        mean, variance, factor = arrays[f"bn{i}"]
        if factor[0] <= 0 or variance.min() < 0:
            raise ValueError(f"layer bn{i}: negative variances, or a scale factor ({factor[0]}) that is not positive.")
        assert norm.running_mean is not None and norm.running_var is not None
        # our convolutions before a normalisation have no bias; theirs is subtracted from the mean
        _fill(norm.running_mean, mean / factor - arrays[f"conv{i}"][1])
        _fill(norm.running_var, variance / factor)
        parameters = layers[f"bn{i}"].batch_norm_param
        norm.eps = parameters.eps if parameters.HasField("eps") else _BATCH_NORM_EPS
        if not 0 < norm.eps < 1:
            raise ValueError(f"layer bn{i}: got eps {norm.eps}; expected a small positive number.")
    folded = dae.fold()
    if not all(bool(p.isfinite().all()) for p in folded.parameters()):
        raise ValueError("its weights overflow once the normalisations are folded in.")
    return folded


def _shape(blob: Any, dimensions: int) -> tuple[int, ...]:
    """The blob's shape; old files give every blob four dimensions, those in front 1."""
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    four = (blob.num, blob.channels, blob.height, blob.width)
    return four[4 - dimensions :] if all(n == 1 for n in four[: 4 - dimensions]) else four


def _leading_size(layer: Any) -> int:
    shape = _shape(layer.blobs[0], 4) if layer.blobs else ()
    return max(1, shape[0]) if shape else 1


def _blobs(layer: Any, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """The layer's blobs as float64 arrays, which must have exactly these shapes."""
    name = layer.name.decode()
    if len(layer.blobs) != len(shapes):
        raise ValueError(f"layer {name}: got {len(layer.blobs)} blobs; expected {len(shapes)}.")
    arrays = []
    for blob, shape in zip(layer.blobs, shapes, strict=True):
        found = _shape(blob, len(shape))
        if found != shape or len(blob.data) != math.prod(shape):
            raise ValueError(f"layer {name}: got shape {found}, {len(blob.data)} numbers; expected {shape}.")
        with np.errstate(invalid="ignore"):  # signalling NaNs are refused below
            values = np.array(blob.data, dtype=np.float64).reshape(shape)
        if not np.isfinite(values).all():
            raise ValueError(f"layer {name}: its numbers are not all finite.")
        arrays.append(values)
    return arrays


def _fill(target: torch.Tensor, values: np.ndarray) -> None:
    with torch.no_grad():
        target.copy_(torch.from_numpy(values.copy()))
