"""Weights of the shipped networks; a package, so that they are installed."""
