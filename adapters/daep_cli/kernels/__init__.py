"""Blur kernels: read from a file, drawn as a shape, or cut from the photograph of a point of light."""
