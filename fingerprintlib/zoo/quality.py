"""How good a generator's images are, measured without a download: a fixed feature space, and what is compared in it.

The usual Frechet distance is taken between features of a network that was trained on ImageNet. Ours come from a fixed
bank of filters instead: what textures, edges and colours there are, and in which quarter of the image. They know
nothing of objects. `inception_features` are the usual kind, for whoever has a network.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..attribution.networks import AttributionNetwork
from ..data.datasets import Dataset
from ..data.images import Pixels, check_images, luma_of_planes, to_tensor
from ..errors import FingerprintsError, UsageError, unknown
from ..progress import progress
from ..statistics.distances import Kernels, frechet_distance, kernel_distance, mean_distance, nearest

SCALES = 4
ORIENTATIONS = 4
#: Energies below this are rounding of 8-bit pixels, not texture.
NOISE = (0.5 / 255) ** 2
CHUNK = 250
#: Images of which the nearest training image is looked for, and of which all pairs are compared: these are slow.
NEAREST = 500
PAIRS = 1000
#: How often contributors and samples are drawn anew for the errors of a distance.
DRAWS = 100
#: A kind of garment counts as resembled if more than this share of the samples is nearest to it; see `resembled`.
RESEMBLED = 0.01
# The bounds of a verdict; `VERDICTS` says what each is of.
CLOSE = 2  # standard errors of the ratio
FAR = 10  # floors
VARIED = 0.9
COPIES = 0.9
BLURRED = 0.8
#: The rule of `verdict` in words.
VERDICTS = (
    f"'not told from the floor' if the ratio exceeds 1 by less than {CLOSE} of its standard errors, else 'off' it, and "
    f"'far off' beyond {FAR} times; 'varied' from a diversity of {VARIED} on, else 'less varied than photographs'; "
    f"'copies' if its samples lie nearer to images that it was shown than to unseen ones (ratio below {COPIES}), else "
    f"'blurred' if 'nearest' is below {BLURRED}"
)

#: Which of the filter bank's features look at what: colours, or details of about this size.
GROUPS = {
    "colour": slice(0, 12),
    "3 px": slice(12, 35),
    "6 px": slice(35, 54),
    "12 px": slice(54, 73),
    "24 px": slice(73, 92),
}

Features = np.ndarray  # float64 [N, D]


@torch.inference_mode()
def filter_bank_features(images: Pixels) -> Features:
    """Texture and colour of uint8 images ``[N, H, W, 3]`` (side 32 or more): float64 ``[N, 92]``.

    An image is split into brightness and two colour differences, on four scales, each half the size of the last.

    - Brightness: the amplitude of Gabor filters (a sine and a cosine of 3 pixels' length under a Gaussian) in four
      orientations and four scales, root mean square over each quarter of the image (64 numbers); that of the finest
      details, image minus blurred image, in each quarter (4); and how peaked the amplitudes are in each scale, their
      fourth moment against the square of the second (4): few strong edges or much weak noise.
    - Colour differences: the amplitude of the same filters, all orientations and the whole image together (8).
    - The mean of all three in each quarter (12).

    They stand in the order of `GROUPS`. At the border the last pixel is repeated. Amplitudes are in decades (log10) and
    means in [-1, 1], so all numbers are of like size, and nothing is fitted.

    Raises:
        UsageError: images of another kind, or none.
    """
    check_images(images)
    return np.concatenate(
        [_features(to_tensor(images[i : i + CHUNK])).double().numpy() for i in range(0, len(images), CHUNK)]
    )


def _features(x: Tensor) -> Tensor:
    red, _, blue = x.unbind(1)
    brightness = luma_of_planes(x)
    channels = torch.stack([brightness, red - brightness, blue - brightness], 1)  # [N, 3, H, W]
    means = F.adaptive_avg_pool2d(channels, 2)  # [N, 3, 2, 2]
    blurred = F.conv2d(_padded(brightness[:, None], 1), _binomial())
    parts = [means, _decades(F.adaptive_avg_pool2d((brightness[:, None] - blurred).square(), 2))]
    for scale in range(SCALES):
        level = F.avg_pool2d(channels, 2**scale)
        responses = F.conv2d(_padded(level.flatten(0, 1)[:, None], 4), _gabor())  # [N*3, 2*orientations, h, w]
        energy = responses.square().unflatten(1, (2, ORIENTATIONS)).sum(1).unflatten(0, (len(x), 3))
        parts += [_decades(F.adaptive_avg_pool2d(energy[:, 0], 2))]  # [N, orientations, 2, 2]
        parts += [_decades(energy[:, 1:].mean((2, 3, 4)))]  # [N, 2]
        e = energy[:, 0].flatten(1) + NOISE
        parts += [(e.square().mean(1) / e.mean(1).square()).log10()[:, None] / 2]  # [N, 1]
    return torch.cat([part.flatten(1) for part in parts], 1)


def _decades(energy: Tensor) -> Tensor:
    return (energy + NOISE).log10() / 2


def _padded(x: Tensor, by: int) -> Tensor:
    return F.pad(x, (by,) * 4, mode="replicate")


@cache
def _binomial() -> Tensor:
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    return (row[:, None] * row)[None, None]


@cache
def _gabor() -> Tensor:
    """Cosines, then sines, of wavelength 3 in each orientation: ``[2 * orientations, 1, 9, 9]``, of unit norm."""
    y, x = torch.meshgrid(torch.arange(-4.0, 5), torch.arange(-4.0, 5), indexing="ij")
    window = torch.exp(-(x**2 + y**2) / (2 * 1.5**2))
    kernels = []
    for wave in (torch.cos, torch.sin):
        for k in range(ORIENTATIONS):
            angle = math.pi * k / ORIENTATIONS
            kernel = window * wave(2 * math.pi / 3 * (x * math.cos(angle) + y * math.sin(angle)))
            kernel = kernel - window * kernel.sum() / window.sum()  # blind to brightness as such
            kernels.append(kernel / kernel.norm())
    return torch.stack(kernels)[:, None]


@torch.inference_mode()
def inception_features(images: Pixels) -> Features:
    """What torchvision's Inception v3, trained on ImageNet, pools before its last layer: float64 ``[N, 2048]``.

    The weights are downloaded when first used. They are not those of the published Frechet Inception distances, so
    compare with distances from here only. Some ten images a second on a processor core.

    Raises:
        UsageError: images of another kind, or none.
        FingerprintsError: the weights cannot be had.
    """
    from torchvision.models import Inception_V3_Weights, inception_v3

    check_images(images)
    weights = Inception_V3_Weights.IMAGENET1K_V1
    try:
        network = inception_v3(weights=weights).eval()
    except (OSError, RuntimeError) as error:  # no network; a download that was cut short
        raise FingerprintsError(
            f"Inception's weights could not be downloaded ({error}). Connect to the network, or do without: the space "
            "'filter bank' needs none."
        ) from error
    network.fc, network.transform_input = torch.nn.Identity(), False  # our pixels are in [-1, 1] already
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    with progress(len(images), "Inception", "images") as bar:
        found = []
        for start in range(0, len(images), 32):  # at 299 pixels they are large
            x = to_tensor(images[start : start + 32]).to(device)
            x = F.interpolate(x, size=299, mode="bicubic", antialias=True)
            found.append(network(x).double().cpu().numpy())
            bar.update(len(x))
    return np.concatenate(found)


@torch.inference_mode()
def random_network_features(images: Pixels, seed: int = 0) -> Features:
    """What an attribution network of random weights computes before its last layer: float64 ``[N, 128]``.

    The generic features to compare learned ones with when there is no network trained on something else: the same
    architecture, at a quarter of the paper's width, and nothing learned. The side must be a power of two.

    Raises:
        UsageError: images of another kind, or none.
    """
    check_images(images)
    network = AttributionNetwork(2, images.shape[1], 0.25, seed).eval()
    return np.concatenate(
        [network.features(to_tensor(images[i : i + CHUNK])).double().numpy() for i in range(0, len(images), CHUNK)]
    )


SPACES: dict[str, Callable[[Pixels], Features]] = {
    "filter bank": filter_bank_features,
    "random network": random_network_features,
    "inception": inception_features,
}


@dataclass(frozen=True)
class Reference:
    """Real images that generators are measured against, with their features.

    The reals fall into two parts that share no contributor (or no tile of a photograph): the images that generators
    learn from, and held-out ones. How far these two are from one another is the floor: a generator there is as close to
    the held-out images as its own training images are. It can come closer, as contributors differ in what they show.

    Attributes:
        training: images that the generators learn from, uint8 ``[N, R, R, 3]``.
        held_out: other real images, likewise.
        kinds: of each of the training images that have `features`, what it shows (see `splits.Split.kind_of`).
        space: the name of the feature space, `extract` what computes it.
        features: of as many training images as have `kinds`, and of the held-out ones.
        groups: of each of these, who took it (see `splits.Split.group_of`).
    """

    training: Pixels
    held_out: Pixels
    kinds: tuple[str, ...]
    space: str
    extract: Callable[[Pixels], Features]
    features: tuple[Features, Features]
    groups: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(
        cls,
        data: Dataset,
        training: Pixels,
        count: int = 5000,
        space: str = "filter bank",
    ) -> "Reference":
        """Held-out images are those of the split ``train``; the splits of attribution's tests are left alone.

        Args:
            data: the real images.
            training: what the generators learned from: images 0, 1, ... of the split ``gan``.
            count: images of each kind that distances are taken between; less where there are fewer of one.
            space: of `SPACES`.

        Raises:
            UsageError: an unknown space.
            FingerprintsError: the space ``"inception"`` needs a network, and there is none.
        """
        if space not in SPACES:
            raise unknown("feature space", space, list(SPACES))
        extract = SPACES[space]
        available = data.available("train")
        count = min(count, len(training), *([] if available is None else [available]))
        held_out = data.images("train", 0, count)
        kinds = tuple(data.split("gan").kind_of(index) for index in range(count))
        features = (extract(training[:count]), extract(held_out))
        groups = (np.array(data.groups_of("gan", 0, count)), np.array(data.groups_of("train", 0, count)))
        return cls(training, held_out, kinds, space, extract, features, groups)

    @cached_property
    def floor(self) -> dict[str, Any]:
        """The distances between the two halves of the reals; see `measure`."""
        return self._distances(self.features[0])

    def measure(self, images: Pixels) -> dict[str, Any]:
        """How good a generator's images are; JSON-able.

        - ``frechet``, ``kernel``: distances to the held-out images, and ``scales``, the Frechet distance by each of the
          filter bank's `GROUPS` alone; ``floor`` has the same of the training images.
        - ``errors``: standard errors of ``frechet``, of its ``floor``, of their ``ratio`` and of ``kernel``, under
          other contributors and other samples.
        - ``kinds``: for each kind the share of images whose nearest training image, by features, is of it.
        - ``nearest``: median root-mean-square difference to the most similar training image, mirrored or not, in levels
          of 0 to 255: of the images, and of the held-out ones. A generator that repeats its training images is nearer;
          but blurred images are near to anything. So there is also the same distance to held-out images, ``unseen``,
          and to as many training images, ``shown``: only of copies is the second much the smaller.
        - ``diversity``: mean distance of two images by features, over that of two held-out images; 0 if all are alike.

        Args:
            images: samples, uint8 ``[n, R, R, 3]``, as many as `held_out`: distances depend on the number.

        Raises:
            UsageError: another number of images.
        """
        if len(images) != len(self.held_out):
            raise UsageError(f"Give {len(self.held_out)} samples, as many as there are held-out images.")
        learned, unseen = self.features
        features = self.extract(images)
        distances = self._distances(features)
        shares = Counter(self.kinds[index] for index in nearest(features, learned)[1])
        return {
            "images": len(images),
            **distances,
            "floor": self.floor,
            "errors": self._errors(features, distances),
            "kinds": {name: shares[name] / len(images) for name in sorted(set(self.kinds))},
            "nearest": self._nearest(images),
            "diversity": mean_distance(features[:PAIRS]) / mean_distance(unseen[:PAIRS]),
        }

    def _nearest(self, images: Pixels) -> dict[str, float]:
        shown, rest = self.training[: len(images)], self.training[len(images) :]
        to_shown = _to_nearest(images, shown)
        to_any = np.minimum(to_shown, _to_nearest(images, rest)) if len(rest) else to_shown
        found = {"samples": to_any, "shown": to_shown, "unseen": _to_nearest(images, self.held_out)}
        return {name: float(np.median(some)) for name, some in found.items()} | {"held_out": self._held_out_to_training}

    def _errors(self, features: Features, distances: Mapping[str, Any]) -> dict[str, float]:
        """Of the Frechet distance, of its floor, of their ratio and of the kernel distance, by a bootstrap.

        It draws contributors, for photographs of one camera are not independent, and a few contributors took most. A
        draw repeats images, which lengthens every distance; so what counts is how much the draws spread, relative to
        their mean.
        """
        rng, found = np.random.default_rng(0), []
        kernels = Kernels(features, self.features[1])
        with progress(DRAWS, "Errors of the distances", "draws") as bar:
            for _ in range(DRAWS):
                known, new = (_redrawn(groups, rng) for groups in self.groups)
                made = rng.integers(len(features), size=len(features))
                learned, unseen = self.features[0][known], self.features[1][new]
                drawn, yardstick = frechet_distance(features[made], unseen), frechet_distance(learned, unseen)
                found.append((drawn, yardstick, drawn / yardstick, kernels.distance(made, new)))
                bar.update(1)
        distance, floor = distances["frechet"], self.floor["frechet"]
        values = {"frechet": distance, "floor": floor, "ratio": distance / floor, "kernel": distances["kernel"]}
        spread = np.std(found, 0) / np.mean(found, 0)
        return {name: float(value * by) for (name, value), by in zip(values.items(), spread, strict=True)}

    @cached_property
    def _held_out_to_training(self) -> float:
        return float(np.median(_to_nearest(self.held_out, self.training)))  # the same for all generators, and slow

    def _distances(self, features: Features) -> dict[str, Any]:
        unseen = self.features[1]
        groups = GROUPS if self.space == "filter bank" else {}
        return {
            "frechet": frechet_distance(features, unseen),
            "kernel": kernel_distance(features, unseen),
            "scales": {name: frechet_distance(features[:, part], unseen[:, part]) for name, part in groups.items()},
        }


def _to_nearest(images: Pixels, others: Pixels) -> np.ndarray:
    """The distance of some of the images to the nearest of the others, mirrored or not: float64 ``[n]``."""
    some = images[:NEAREST]
    as_is, mirrored = (nearest(view, others)[0] for view in (some, some[:, :, ::-1]))
    return np.minimum(as_is, mirrored)


def _redrawn(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The places of all members of as many groups as there are, drawn with replacement."""
    names, sizes = np.unique(groups, return_counts=True)
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    return np.concatenate([members[k] for k in rng.integers(len(names), size=len(names))])


def relative_nearest(quality: Mapping[str, Any]) -> float:
    """How far a sample is from the nearest training image, in units of how far a held-out image is."""
    return float(quality["nearest"]["samples"] / quality["nearest"]["held_out"])


def resembled(quality: Mapping[str, Any]) -> int:
    """How many kinds of garment more than `RESEMBLED` of the samples are nearest to; see `Reference.measure`."""
    return sum(share > RESEMBLED for share in quality["kinds"].values())


def verdict(quality: Mapping[str, Any]) -> str:
    """What the numbers of `Reference.measure` say of a generator, by the rule of `VERDICTS`."""
    ratio = quality["frechet"] / quality["floor"]["frechet"]
    at_floor = ratio - CLOSE * quality["errors"]["ratio"] <= 1
    near = quality["nearest"]
    words = ["not told from the floor" if at_floor else "far off the floor" if ratio > FAR else "off the floor"]
    words += ["varied" if quality["diversity"] >= VARIED else "less varied than photographs"]
    if near["shown"] < COPIES * near["unseen"]:
        words += ["copies"]
    elif near["samples"] < BLURRED * near["held_out"]:
        words += ["blurred"]
    return ", ".join(words)
