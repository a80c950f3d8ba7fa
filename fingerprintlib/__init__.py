"""GAN fingerprints: learn them, see them, attack them.

The library behind an executable book on *Attributing Fake Images to GANs: Learning and Analyzing GAN Fingerprints*
(Yu, Davis, Fritz, ICCV 2019). Importing the package imports nothing else; take what you need from its modules.
"""

__version__ = "0.1.0"
