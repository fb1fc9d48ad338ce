"""Photographs: ``photo`` is the image with its transparency and profile, ``reading`` and ``writing`` the files."""
