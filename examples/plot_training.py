r"""
Train a small denoising autoencoder
===================================

A DAE for your own kind of images. This example trains a small network on two photographs, for a few hundred steps. A
useful network needs some hundred images and an hour. ``daep train`` does the same from the shell.
"""

import os
import tempfile
from pathlib import Path

import deepinv as dinv
import matplotlib.pyplot as plt
import skimage
import torch
from deepinv.utils import plot

from daep_deepinv import DAEP
from daep_prior import UNetDAE, load_dae
from daep_prior.training import TrainingConfig, train

# the test suite runs this example on fewer pixels
size = int(os.environ.get("DAEP_EXAMPLE_SIZE", 128))
quick = "DAEP_EXAMPLE_SIZE" in os.environ

# %%
# A folder of photographs
# -----------------------

folder = Path(tempfile.mkdtemp())
for name in ("chelsea", "coffee"):
    skimage.io.imsave(folder / f"{name}.png", getattr(skimage.data, name)())

# %%
# Training
# --------
# A :class:`daep_prior.training.TrainingConfig` defines a run. Crops, noise and first weights follow from its seed. An
# interrupted run continues from its checkpoint when :func:`daep_prior.training.train` is called again.

config = TrainingConfig(
    network=UNetDAE(widths=(16, 32, 64), blocks=1).config(),
    steps=40 if quick else 600,
    batch=4 if quick else 8,
    crop=48,
    learning_rate=3e-3,
    warmup=20,
    ema=0.98,
    validation_images=1,
)
weights = folder.parent / f"{folder.name}.safetensors"
card = train(folder, weights, config, device="cpu", validate_every=max(10, config.steps // 8))

# %%
# The weight file contains a model card: configuration, time, hardware, and the validation PSNR.

steps = [entry["step"] for entry in card["validation"]]
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for level in ("15", "25", "50"):
    axes.plot(steps, [entry[level] for entry in card["validation"]], "o-", label=f"noise {level} of 255")
axes.set(xlabel="step", ylabel="PSNR of the held-out image, dB")
axes.legend()
plt.show()

# %%
# Restoration with the network
# ----------------------------
# The weight file contains the architecture too, so its path is enough. The photograph was not used for training.

denoiser = load_dae(weights)
photograph = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None] / 255
x = photograph[..., 50 : 50 + size, 150 : 150 + size]
rng = torch.Generator().manual_seed(0)
physics = dinv.physics.Inpainting(img_size=(3, size, size), mask=0.5, rng=rng)
y = physics(x)

own = DAEP(sigma=0, denoiser=denoiser)(y, physics)
shipped = DAEP(sigma=0)(y, physics)
metric = dinv.metric.PSNR()
images = {"half is missing": y, "this training": own, "shipped network": shipped}
psnr = {name: metric(image, x).item() for name, image in images.items()}
plot(
    {"original": x, **images},
    subtitles=["", *(f"{value:.2f} dB" for value in psnr.values())],
    rescale_mode="clip",
    vmin=0,
    vmax=1,
    figsize=(11, 3.4),
)
