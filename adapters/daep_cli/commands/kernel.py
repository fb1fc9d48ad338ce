"""``daep kernel``."""

from pathlib import Path
from typing import Annotated

import typer

from daep_cli.commands.shared_options import Overwrite
from daep_cli.kernels.blind import BLIND
from daep_cli.kernels.reading import kernel_path
from daep_cli.paths import check_output_file
from daep_cli.screen import say

Name = Annotated[
    str,
    typer.Argument(
        metavar="KERNEL", help="motion:LENGTH:ANGLE, gaussian:SIGMA, disk:RADIUS, spot:PHOTO, blind:PHOTO, or a file."
    ),
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="OUT", help="Write it: .png, .tif, .fits, .npy, .txt or .csv.")
]
Size = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=3,
        help="With blind: side of the largest kernel that is sought, pixels; default an eighth of the photograph, "
        "9 to 31.",
    ),
]


def kernel(name: Name, output: Output = None, size: Size = None, overwrite: Overwrite = False) -> None:
    """Draw, inspect and save a blur kernel, the image of a point of light, as `daep restore --kernel` takes it.

    * **motion:LENGTH:ANGLE**: a straight movement. Pixels; degrees, counter-clockwise from the horizontal.
    * **gaussian:SIGMA**: a soft blur, as of the atmosphere and many lenses. Standard deviation in pixels.
    * **disk:RADIUS**: a lens out of focus. Radius in pixels.
    * **spot:PHOTO**: a photograph of one point of light on a dark background with the same blur: a distant lamp, a
      star, a pinhole in front of a lamp. The background is subtracted, and the point is cut out and centred to a pixel.
    * A file: an image, .npy, .txt, .csv, or .npz:KEY. Several pages, planes or colours are one kernel a page or
      channel. A white or grey ground is removed, and said.
    * **blind:PHOTO**: a blurred photograph whose blur is the same everywhere; its kernel is estimated. One pixel: it is
      sharp, or its blur is not found, which is said.

    **Examples**

    * `daep kernel motion:15:30`
    * `daep kernel disk:4 -o defocus.png`
    * `daep kernel spot:lamp.jpg -o psf.png`
    * `daep kernel blind:photo.jpg -o psf.png --size 75`
    * `daep restore blurred.jpg -o sharp.png --kernel psf.png --noise auto`
    """
    from daep_cli.kernels.drawing import WRITABLE, encode_kernel, facts, sketch
    from daep_cli.kernels.reading import read_kernel
    from daep_cli.whole_files import write_whole

    if size is not None and not name.startswith(f"{BLIND}:"):
        raise ValueError(f"--size {size}: is for a kernel that is found; give {BLIND}:PHOTO.")
    if output is not None:
        check_output_file(output, WRITABLE, (kernel_path(name),), overwrite)
    values = read_kernel(name, size)
    kernels = values[None] if values.ndim == 2 else values
    if output is not None and len(kernels) > 1 and output.suffix.lower() != ".npy":
        raise ValueError(f"-o {output}: cannot store {len(kernels)} kernels; use .npy.")
    for number, one in enumerate(kernels, 1):
        if len(kernels) > 1:
            typer.echo(f"kernel {number} of {len(kernels)}")
        for line in sketch(one):
            typer.echo(line)
        rows = facts(one)
        width = max(map(len, rows))
        for title, text in rows.items():
            typer.echo(f"{title:<{width}}  {text}")
    if output is not None:
        write_whole(output, encode_kernel(values, output.suffix), overwrite)
        say(f"wrote {output}")
