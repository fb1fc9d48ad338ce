"""The example of ``daep demo``: a ``scene`` that is blurred, and the ``picture`` of the result."""
