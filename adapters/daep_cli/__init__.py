"""The command line ``daep``: restore photographs, train a network, see a demonstration; begin with ``main.py``."""
