"""Blind deblurring: the blur kernel of a photograph, found with the mean-shift prior."""

from daep_prior.blind.one_start import Estimate, one_estimate
from daep_prior.blind.settings import BlindSettings
from daep_prior.blind.several_starts import FoundBlur, find_blur
from daep_prior.blind.similarity import similarity

__all__ = ["BlindSettings", "Estimate", "FoundBlur", "find_blur", "one_estimate", "similarity"]
