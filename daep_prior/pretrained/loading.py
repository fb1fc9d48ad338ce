"""Load and save DAEs: shipped networks, ``.safetensors`` and the paper authors' ``.caffemodel``; never a pickle."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from daep_prior.arguments import checked_device
from daep_prior.networks import DAE, build_network
from daep_prior.pretrained.hub import PREFIX, fetch
from daep_prior.pretrained.tensor_files import read_safetensors, write_safetensors

__all__ = ["load_dae", "read_card", "read_training_form", "save_dae", "shipped_networks"]

#: Format of our weight files. The number changes when an older version could misread a newer file.
FORMAT = "daep-prior/1"
#: Largest number of parameters that is read; the shipped networks have at most 2.4 million. A file with more is
#: damaged or hostile.
MAX_PARAMETERS = 100_000_000
WEIGHTS = Path(__file__).parents[1] / "weights"


def shipped_networks() -> list[str]:
    """Names that :func:`load_dae` finds inside the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def load_dae(name_or_path: str | os.PathLike[str], device: str | torch.device = "cpu") -> DAE:
    """Load a denoising autoencoder, ready for inference: folded, in evaluation mode, parameters frozen.

    :param str name_or_path: one of

        * a shipped name, see :func:`shipped_networks`;
        * a ``.safetensors`` file, written by :func:`save_dae` or ``daep train``;
        * a ``.caffemodel`` file of the paper authors, with the extra ``daep-prior[caffe]``;
        * a repository of the Hugging Face Hub, ``hf:owner/repository``, with the extra ``daep-prior[hub]``; see
          :func:`daep_prior.pretrained.hub.fetch`. Only this one uses the internet.
    :param str, torch.device device: where to put it.
    :return: the network; call it as ``dae(noisy, sigma)``, images (B, C, H, W) in [0, 1].
    :raises FileNotFoundError: no such file, or no shipped network of that name.
    :raises ValueError: not a weight file of a known kind, damaged, or inconsistent with its own configuration; or no
        such device.
    :raises ConnectionError: a repository that cannot be downloaded.

    >>> from daep_prior import load_dae
    >>> load_dae("dae-sigma25").sigma * 255
    25.0
    """
    device, path = checked_device(device), _located(name_or_path)
    if path.suffix == ".caffemodel":
        from daep_prior.pretrained.caffemodel import read_caffemodel

        return read_caffemodel(path).to(device)
    if path.suffix == ".safetensors":
        folded = _read_safetensors(path)[0].fold()
        if not all(bool(value.isfinite().all()) for value in folded.state_dict().values()):
            raise ValueError(f"{path}: its normalisation layers make the weights infinite.")
        return folded.to(device)
    if path.suffix in (".pt", ".pth", ".pkl", ".ckpt", ".bin"):
        raise ValueError(f"{path}: pickled weights can run code when opened and are not read; convert to .safetensors.")
    if path.is_file():
        raise ValueError(f"{path}: not a weight file of a known kind; it must end in .safetensors or .caffemodel.")
    raise FileNotFoundError(
        f"no network named {str(name_or_path)!r}; shipped are {', '.join(shipped_networks()) or 'none'}; "
        "a file must end in .safetensors or .caffemodel."
    )


def read_card(name_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """The model card (data, steps, time, figures) kept in the metadata of a ``.safetensors`` file of ours."""
    return _read_safetensors(_located(name_or_path))[1]


def read_training_form(name_or_path: str | os.PathLike[str]) -> DAE:
    """A network of ours as it was saved, not folded, to continue its training; errors as :func:`load_dae`."""
    return _read_safetensors(_located(name_or_path))[0]


def _located(name: str | os.PathLike[str]) -> Path:
    """The file of a shipped name, a repository of the Hub, or a path."""
    if str(name).startswith(PREFIX):
        return fetch(str(name))
    return WEIGHTS / f"{name}.safetensors" if str(name) in shipped_networks() else Path(name)


def save_dae(dae: DAE, path: str | os.PathLike[str], card: Mapping[str, Any] | None = None, half: bool = False) -> None:
    """Write a network as ``.safetensors``, with its configuration and model card in the metadata.

    :param DAE dae: network, in either form.
    :param str path: ``.safetensors`` file; written whole or not at all.
    :param dict card: model card: data, steps, figures, anything JSON-serialisable.
    :param bool half: store the convolution kernels in float16, which halves the file. The network computes in bf16,
        which is coarser.
    :raises ValueError: weights that are not finite, which :func:`load_dae` would refuse.
    """
    if not all(bool(value.isfinite().all()) for value in dae.state_dict().values()):
        raise ValueError(f"{path}: not written, the weights are not all finite numbers.")
    metadata = {"format": FORMAT, "config": json.dumps(dae.config()), "card": json.dumps(dict(card or {}))}
    tensors = {k: v.half() if half and v.ndim == 4 else v for k, v in dae.state_dict().items()}
    write_safetensors(tensors, path, metadata)


def _read_safetensors(path: Path) -> tuple[DAE, dict[str, Any]]:
    """The network in its training form, and its model card."""
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path}: its metadata says format {metadata.get('format')!r}, not {FORMAT!r}; "
            "only files written by `daep train` or save_dae() contain the configuration that is needed."
        )
    try:
        config, card = json.loads(metadata["config"]), dict(json.loads(metadata.get("card", "{}")))
        expected = _expected_shapes(config)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(f"{path}: its configuration cannot be used: {textwrap.shorten(str(error), 200)}") from error
    if {key: value.shape for key, value in tensors.items()} != expected:
        raise ValueError(f"{path}: its tensors do not have the names and shapes that its configuration asks for.")
    if not all(value.is_floating_point() for value in tensors.values()):
        raise ValueError(f"{path}: its weights are not floating-point numbers.")
    weights = {key: value.float() for key, value in tensors.items()}
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ValueError(f"{path}: its weights are not all finite numbers.")
    if any(key.endswith("running_var") and bool((value < 0).any()) for key, value in weights.items()):
        raise ValueError(f"{path}: it has negative variances.")
    with torch.random.fork_rng(devices=[]):  # leaves the user's random state alone
        network = build_network(config)
    network.load_state_dict(weights, strict=False)
    return network, card


def _expected_shapes(config: dict[str, Any]) -> dict[str, torch.Size]:
    """Names and shapes of a network's tensors, computed without allocating them.

    :raises ValueError: the network is larger than :data:`MAX_PARAMETERS`, or cannot be built.
    """
    depth, width = int(config.get("depth", 1)), int(config.get("width", 1))
    widths, blocks = [int(w) for w in config.get("widths", [1])], int(config.get("blocks", 1))
    kernels = depth * width**2 + blocks * sum(w * w for w in widths)
    if max(depth, blocks, len(widths)) > 1000 or 9 * kernels > MAX_PARAMETERS:
        raise ValueError("it describes a network larger than any that this version reads.")
    with torch.device("meta"):
        state = build_network(config).state_dict()
    return {key: value.shape for key, value in state.items() if not key.endswith("num_batches_tracked")}
