"""Read cameras' raw files, by rawpy (the extra ``[raw]``)."""

from pathlib import Path

import numpy as np
from PIL import ImageCms

from daep_cli.photographs.errors import TooLarge, Unsupported
from daep_cli.photographs.metadata import Metadata
from daep_cli.photographs.photo import MAX_BYTES, Photo
from daep_cli.photographs.tiff_reading import camera_data

#: The tone curve of sRGB (IEC 61966-2-1): exponent, and slope near black. dcraw takes the inverse of the exponent.
SRGB_CURVE = (2.4, 12.92)


def read_raw(path: Path) -> Photo:
    """Develop a raw file: demosaiced, white balance of the camera, 16-bit sRGB, neither brightened nor sharpened."""
    try:
        import rawpy
    except ImportError as error:
        raise Unsupported("cameras' raw files need rawpy; pip install 'daep-prior[raw]'.") from error
    with rawpy.imread(str(path)) as raw:
        if raw.sizes.raw_width * raw.sizes.raw_height * 6 > MAX_BYTES:
            raise TooLarge
        pixels = raw.postprocess(
            gamma=SRGB_CURVE, no_auto_bright=True, output_bps=16, use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB
        )
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = Metadata(exif=camera_data(path))
    return Photo(np.ascontiguousarray(pixels), None, profile, metadata, developed=True)
