"""Restoration jobs: ``job`` restores photographs with the same ``options``, from ``one_image`` or a ``folder``."""
