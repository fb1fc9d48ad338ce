"""``daep demo``."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from daep_cli.commands.shared_options import Denoiser, Device, Iterations, Overwrite, Preset, Seed
from daep_cli.paths import check_output_file
from daep_cli.photographs.photo import WRITABLE
from daep_cli.screen import iterations_text, say

Output = Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Picture to write.")]
Image = Annotated[Literal["astronaut", "chelsea", "coffee"], typer.Option(help="Photograph, of scikit-image.")]
Size = Annotated[int, typer.Option(metavar="N", help="Height and width in pixels.")]


def demo(
    output: Output = Path("demo.png"),
    image: Image = "astronaut",
    size: Size = 256,
    denoiser: Denoiser = None,
    preset: Preset = None,
    iterations: Iterations = None,
    seed: Seed = 0,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Blur a photograph, restore it, and write the original, blurred and restored images side by side.

    Needs no file and no network. It takes about a minute on two processor cores.

    **Examples**

    * `daep demo`
    * `daep demo -o cat.png --image chelsea`
    """
    check_output_file(output, WRITABLE, (), overwrite)
    import torch
    from deepinv.loss.metric import PSNR
    from deepinv.physics import Blur, GaussianNoise

    from daep_cli.demonstration.picture import side_by_side, with_inset
    from daep_cli.demonstration.scene import NOISE, motion_kernel, photograph_crop
    from daep_cli.devices import pick_device
    from daep_cli.networks import read_network
    from daep_cli.photographs.photo import Photo
    from daep_cli.photographs.tensors import centre, to_pixels
    from daep_cli.photographs.writing import write_photo
    from daep_deepinv import DAEP
    from daep_prior.inference.heap import keep_freed_memory

    keep_freed_memory()
    place = pick_device(device)
    scene, kernel = photograph_crop(image, size).to(place), motion_kernel().to(place)
    network = None if denoiser is None else read_network(denoiser, place)
    model = DAEP(NOISE, network, preset, iterations, seed=seed, device=place)
    noise = GaussianNoise(NOISE, rng=torch.Generator(place).manual_seed(seed))
    physics = Blur(filter=kernel, padding="valid", noise_model=noise, device=place)
    blurred = physics(scene)
    say(f"blurred {image}, {size} x {size} pixels, added noise of {255 * NOISE:g}; restoring ...")
    began = time.perf_counter()
    restored = centre(model(blurred, physics), blurred)
    seconds = time.perf_counter() - began
    original = centre(scene, blurred)
    before, after = (float(PSNR()(x.clamp(0, 1), original)) for x in (blurred, restored))
    done = iterations_text(len(model.plans[0].schedule))
    say(f"PSNR {before:.2f} dB -> {after:.2f} dB in {seconds:.1f} s ({done}, {model.preset})")
    shown = with_inset(to_pixels(blurred), kernel[0, 0].cpu().numpy())
    panels = [
        ("original", "", to_pixels(original)),
        ("motion blur and noise", f"PSNR {before:.2f} dB", shown),
        ("restored by DAEP", f"PSNR {after:.2f} dB", to_pixels(restored)),
    ]
    write_photo(Photo(side_by_side(panels)), output, overwrite)
    say(f"wrote {output}")
