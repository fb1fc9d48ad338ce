"""Restoration of images larger than memory: tile by tile."""

from daep_prior.tiling.spans import spans
from daep_prior.tiling.tiler import SMALLEST_TILE, Share, Tiler, TileSize, check_tile

__all__ = ["SMALLEST_TILE", "Share", "TileSize", "Tiler", "check_tile", "spans"]
