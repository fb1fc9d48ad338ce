"""Errors of the readers, which :func:`daep_cli.photographs.reading.read_photo` words for the user."""


class Unsupported(Exception):
    """An intact image of a kind that is not supported; the message says which, and what to do."""


class TooLarge(Exception):
    """More pixels or bytes than any image."""
