"""The tables and figures of the paper (Bigdeli and Zwicker, VISAPP 2018): the parts of ``benchmarks/paper.py``."""
