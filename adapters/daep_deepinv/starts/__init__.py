"""The first image of a restoration, by physics."""
