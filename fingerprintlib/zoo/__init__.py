"""Trained generators: kept and sampled (`generators`), judged (`quality`), shipped with the project (`shipped`).

A GAN that was trained in `gans` -> a file with its card -> samples as a source of a corpus. Judging comes after
attribution, for it also measures in the features of a network that has learned nothing.
"""
