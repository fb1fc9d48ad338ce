"""Weight files of networks: load, save, and the networks shipped with this package."""

from daep_prior.pretrained.loading import load_dae, read_card, read_training_form, save_dae, shipped_networks
from daep_prior.pretrained.tensor_files import read_safetensors, write_safetensors

__all__ = [
    "load_dae",
    "read_card",
    "read_safetensors",
    "read_training_form",
    "save_dae",
    "shipped_networks",
    "write_safetensors",
]
