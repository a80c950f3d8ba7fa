"""Which source does an image come from? The networks, their training, the simpler rivals.

A corpus -> `training.fit` -> an `attributor` (or a `visualizer`, whose fingerprints are images), one file that knows
its classes; beside it `baselines`, of which `prnu` and `spectra` are parts, and `probes`, which see colours alone.
"""
