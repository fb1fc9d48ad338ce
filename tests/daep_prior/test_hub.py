"""Weights of the Hugging Face Hub: fetched only when asked for, through its own library; here one that is made up."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from daep_prior import ConvDAE, load_dae, save_dae
from daep_prior.pretrained import read_card


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str | None]]:
    """A made-up ``huggingface_hub`` with one file in every repository; returns what has been asked of it."""
    path = tmp_path / "cached.safetensors"
    save_dae(ConvDAE(sigma=0.1, depth=2, width=2), path, {"steps": 5})
    asked: list[tuple[str, str, str | None]] = []

    def hf_hub_download(repo_id: str, filename: str, *, revision: str | None = None) -> str:
        asked.append((repo_id, filename, revision))
        if repo_id == "no/network":
            raise OSError("We couldn't connect to 'https://huggingface.co'\n" + 500 * "and so on ")
        return str(path)

    module = ModuleType("huggingface_hub")
    module.hf_hub_download = hf_hub_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return asked


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("hf:owner/net", ("owner/net", "model.safetensors", None)),
        ("hf:owner/net/other.safetensors", ("owner/net", "other.safetensors", None)),
        ("hf:owner/net/sub/other.safetensors@v1.2", ("owner/net", "sub/other.safetensors", "v1.2")),
        ("hf:own-er/n.et_2@refs/pr/1", ("own-er/n.et_2", "model.safetensors", "refs/pr/1")),
    ],
)
def test_a_name_asks_for_its_repository_file_and_revision(hub, name, asked):
    dae = load_dae(name)
    assert hub == [asked]
    assert dae.sigma == 0.1 and dae(torch.rand(1, 3, 6, 6)).shape == (1, 3, 6, 6)
    assert read_card(name) == {"steps": 5}


@pytest.mark.parametrize(
    "name", ["hf:", "hf:net", "hf:owner/", "hf:/net", "hf:owner/net/", "hf:owner/net@", "hf:a b/c"]
)
def test_what_is_no_repository_is_refused_before_anything_is_asked(hub, name):
    with pytest.raises(ValueError, match="expected hf:OWNER/REPOSITORY"):
        load_dae(name)
    assert hub == []


@pytest.mark.parametrize("file", ["pytorch_model.bin", "net.pt", "net.caffemodel", "safetensors"])
def test_files_that_could_run_code_are_not_even_fetched(hub, file):
    with pytest.raises(ValueError, match=r"only \.safetensors"):
        load_dae(f"hf:owner/net/{file}")
    assert hub == []


def test_a_repository_that_cannot_be_fetched_is_one_short_sentence(hub):
    with pytest.raises(
        ConnectionError, match="hf:no/network: cannot be fetched; check the name and the network"
    ) as caught:
        load_dae("hf:no/network")
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"daep-prior\[hub\]"):
        load_dae("hf:owner/net")


def test_no_other_name_asks_the_hub(hub, tmp_path):
    load_dae("dae-sigma25")
    for name in ("owner/net", str(tmp_path / "none.safetensors"), "https://huggingface.co/owner/net"):
        with pytest.raises(FileNotFoundError):
            load_dae(name)
    assert hub == []
