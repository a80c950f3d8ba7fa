"""How images look: multi-scale structural similarity, the nearest real image, and which show no artifact to the eye."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.corpus import Corpus
from ..data.images import Pixels, check_images, luma, to_tensor
from ..errors import FingerprintsError, UsageError, unknown
from ..progress import progress

SIDE, SIGMA = 11, 1.5  # of the Gaussian window
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
THUMBNAIL = 16
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of red, green and blue in [0, 1]


def scale_count(side: int) -> int:
    """At how many scales `ms_ssim` compares images: as long as their side is at least 16 pixels, at most five.

    The original takes five, which needs 176 pixels. With fewer the finest scales keep their weights, made to sum to 1.
    """
    return min(len(WEIGHTS), max(1, side.bit_length() - 4))


def ms_ssim(first: Pixels, second: Pixels) -> np.ndarray:
    """Multi-scale structural similarity of the luma, image by image (Wang, Simoncelli and Bovik 2003).

    A Gaussian window of 11x11 with a standard deviation of 1.5, inside the image only; 2x2 means from scale to scale;
    the luminance term at the coarsest scale. Contrast-structure terms below zero count as zero.

    Args:
        first, second: uint8 ``[N, H, W, 3]``, H and W at least 16.

    Returns:
        float32 ``[N]`` in [0, 1]; 1 for equal images.

    Raises:
        UsageError: images of another kind, of different shapes, or too small.
    """
    check_images(first, "first")
    check_images(second, "second")
    if first.shape != second.shape or min(first.shape[1:3]) < 16:
        raise UsageError(f"Images must be as many and as large, at least 16x16, not {first.shape} and {second.shape}.")
    found = []
    for start in range(0, len(first), 512):
        one, two = (_moments(_planes(some[start : start + 512])) for some in (first, second))
        found.append(_similarity(one, two))
    return torch.cat(found).numpy()


def nearest_by_ms_ssim(images: Pixels, others: Pixels, candidates: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """For each image the most alike of others: index int64 ``[N]``, and distance 1 - `ms_ssim`, float32 ``[N]``.

    All pairs would take long. So only the `candidates` whose thumbnails of 16x16 have the smallest squared difference
    are compared; the nearest of all may be missed, and the distance be a little too large.

    Raises:
        UsageError: images of another kind, of different sizes, or too small.
    """
    check_images(images)
    check_images(others, "others")
    if images.shape[1:] != others.shape[1:] or min(images.shape[1:3]) < THUMBNAIL:
        raise UsageError(f"Images must be as large as others, at least 16x16, not {images.shape} and {others.shape}.")
    theirs = _planes(others)
    moments = _moments(theirs)
    small = _thumbnails(theirs)
    places, distances = [], []
    with progress(len(images), "nearest real", "images") as bar:
        for start in range(0, len(images), 32):
            mine = _planes(images[start : start + 32])
            near = torch.cdist(_thumbnails(mine), small).topk(min(candidates, len(others)), largest=False).indices
            one: list[Scale] = [
                tuple(part.repeat_interleave(near.shape[1], 0) for part in scale) for scale in _moments(mine)
            ]
            two: list[Scale] = [tuple(part[near.flatten()] for part in scale) for scale in moments]
            alike, which = _similarity(one, two).view(near.shape).max(1)
            places.append(near.gather(1, which[:, None])[:, 0])
            distances.append(1 - alike)
            bar.update(len(mine))
    return torch.cat(places).numpy(), torch.cat(distances).numpy()


@torch.inference_mode()
def nearest_by_alexnet(images: Pixels, others: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """The same by features of AlexNet, trained on ImageNet: LPIPS (arXiv 1801.03924) without its learned weights.

    At each of five layers features are brought to unit length; squared differences are summed over channels, averaged
    over places and added up. The weights are downloaded when first used.

    Raises:
        FingerprintsError: the weights cannot be had.
    """
    from torchvision.models import AlexNet_Weights, alexnet

    try:
        layers = alexnet(weights=AlexNet_Weights.IMAGENET1K_V1).features[:-1].eval()  # the last pool: the classifier's
    except (OSError, RuntimeError) as error:
        raise FingerprintsError(
            f"AlexNet's weights could not be downloaded ({error}). Connect to the network, or use distance='ms-ssim'."
        ) from error

    mean, deviation = (torch.tensor(some).view(3, 1, 1) for some in (IMAGENET_MEAN, IMAGENET_DEVIATION))

    def embedded(some: Pixels) -> Tensor:
        rows = []
        for start in range(0, len(some), 64):
            x = to_tensor(some[start : start + 64])
            x = (x / 2 + 0.5 - mean) / deviation
            parts = []
            for layer in layers:
                x = layer(x)
                if isinstance(layer, torch.nn.ReLU):
                    parts.append((F.normalize(x, dim=1) / x[0, 0].numel() ** 0.5).flatten(1))
            rows.append(torch.cat(parts, 1))
        return torch.cat(rows)

    distances, places = torch.cdist(embedded(images), embedded(others)).min(1)
    return places.numpy(), distances.square().numpy()


NEAREST: dict[str, Callable[[Pixels, Pixels], tuple[np.ndarray, np.ndarray]]] = {
    "ms-ssim": nearest_by_ms_ssim,
    "alexnet": nearest_by_alexnet,
}


def nearest_real(images: Pixels, reals: Pixels, distance: str = "ms-ssim") -> tuple[np.ndarray, np.ndarray]:
    """For each of the uint8 images ``[N, H, W, 3]`` the nearest real one and the distance: int64, float32 ``[N]``.

    Raises:
        UsageError: an unknown distance, or images of another kind.
        FingerprintsError: the distance needs a network, and there is none.
    """
    if distance not in NEAREST:
        raise unknown("distance", distance, list(NEAREST))
    return NEAREST[distance](images, reals)


def rank_within(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The part of its group that is smaller than each value, ties in order: float64 ``[N]`` in [0, 1).

    Args:
        values: numbers ``[N]``.
        groups: int ``[N]``.
    """
    ranks = np.empty(len(values))
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        ranks[mine[np.argsort(values[mine], kind="stable")]] = np.arange(len(mine)) / len(mine)
    return ranks


def best_looking(looked_at: Mapping[str, Mapping[str, Any]], corpus: Corpus) -> np.ndarray:
    """Where the test images stand that passed best for photographs, as ``data/screened.yml`` lists them.

    Args:
        looked_at: generator to the hash of its ``weights``, the ``seed`` of the sampling, and ``best``, the numbers of
            the chosen among the images of its test split.
        corpus: of whose test split rows are given; what it has of other generators or seeds was not looked at.

    Returns:
        int64 ``[n]``.
    """
    _, labels = corpus.split("test")
    sources, found = corpus.card["recipe"]["sources"], []
    for name, told in looked_at.items():
        source = sources.get(name, {})
        if (source.get("weights"), source.get("sampling_seed")) == (told["weights"], told["seed"]):
            mine = np.flatnonzero(labels == corpus.class_names.index(name))
            found += [mine[number] for number in told["best"] if number < len(mine)]
    return np.array(found, np.int64)


Scale = tuple[Tensor, ...]  # images, window means, window variances: [N, 1, h, w]


def _planes(images: Pixels) -> Tensor:
    """The luma as float32 ``[N, 1, H, W]``."""
    return torch.from_numpy(luma(images))[:, None]


def _thumbnails(planes: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(planes, THUMBNAIL).flatten(1)


def _moments(planes: Tensor) -> list[Scale]:
    """What each image contributes to all its comparisons, scale by scale."""
    found: list[Scale] = []
    for scale in range(scale_count(min(planes.shape[2:]))):
        if scale:
            planes = F.avg_pool2d(planes, 2)
        mean = _window(planes)
        found.append((planes, mean, _window(planes * planes) - mean * mean))
    return found


def _similarity(first: list[Scale], second: list[Scale]) -> Tensor:
    weights = torch.tensor(WEIGHTS[: len(first)]) / sum(WEIGHTS[: len(first)])
    product = torch.ones(len(first[0][0]))
    for scale, ((x, mean_x, var_x), (y, mean_y, var_y)) in enumerate(zip(first, second, strict=True)):
        structure = (2 * (_window(x * y) - mean_x * mean_y) + C2) / (var_x + var_y + C2)
        if scale == len(first) - 1:
            structure = structure * (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
        product = product * structure.mean((1, 2, 3)).clamp(0, 1) ** weights[scale]  # above 1 it is rounding
    return product


def _window(planes: Tensor) -> Tensor:
    """Gaussian means of floats ``[N, 1, H, W]`` where the window is inside: ``[N, 1, H - 10, W - 10]``.

    As products of matrices: with one channel a convolution takes several times as long.
    """
    height, width = planes.shape[2:]
    return _weights(height).T @ planes @ _weights(width)


def _weights(side: int) -> Tensor:
    """Of each of `side` pixels in the mean at each place: ``[side, side - 10]``."""
    off = torch.arange(side)[:, None] - torch.arange(side - SIDE + 1) - SIDE // 2
    gaussian = torch.exp(-(off**2) / (2 * SIGMA**2)) * (off.abs() <= SIDE // 2)
    return gaussian / gaussian.sum(0)
