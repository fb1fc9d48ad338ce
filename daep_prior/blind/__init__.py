"""Blind deblurring: the blur kernel of a photograph, found with the mean-shift prior."""
