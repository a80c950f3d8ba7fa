"""Fixed patterns that move a network when they are exchanged: a positive control, made with the network's gradients."""

import numpy as np
import torch
import torch.nn.functional as F

from ..attribution.attributor import Attributor
from ..data.images import Pixels, check_images, check_labels, to_network
from ..errors import UsageError

RATE = 0.01  # of Adam


def exchanged(images: Pixels, patterns: np.ndarray, own: np.ndarray, other: np.ndarray, levels: float) -> Pixels:
    """Images with another source's pattern added and their own taken away, uint8 ``[N, H, W, 3]``.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        patterns: of K sources, float ``[K, H, W, 3]``, see `even`.
        own, other: int ``[N]``, the sources of the patterns that go and come.
        levels: how strong each pattern is, of 255.
    """
    changed = images + levels * (patterns[other] - patterns[own])
    return np.clip(changed, 0, 255).round().astype(np.uint8)


def even(patterns: np.ndarray) -> np.ndarray:
    """Patterns ``[K, H, W, 3]`` without what all have in common, each with a standard deviation of one."""
    patterns = patterns - patterns.mean(0)
    return patterns / np.maximum(patterns.std(axis=(1, 2, 3), keepdims=True), 1e-12)


def moving_patterns(
    attributor: Attributor,
    images: Pixels,
    labels: np.ndarray,
    other: np.ndarray,
    levels: float = 4,
    steps: int = 10,
    batch: int = 64,
    seed: int = 0,
) -> np.ndarray:
    """A pattern for each source that makes the network follow when patterns are `exchanged`.

    One pattern has to do for all images of a source, so this is a universal perturbation (Moosavi-Dezfooli et al.,
    arXiv 1610.08401). It is found by descending the cross-entropy, with Adam, on images that nobody is asked about
    later. The three channels share one plane.

    Args:
        attributor: whose gradients are used.
        images: uint8 ``[N, H, W, 3]`` to learn from, under the network's colour control.
        labels: their sources, int ``[N]``.
        other: the sources that they are to be taken for, int ``[N]``.
        levels: how strong the patterns will be, of 255.
        steps: of the descent.
        batch: images a step.
        seed: of where it begins, and of the order.

    Returns:
        float32 ``[K, H, W, 3]``, `even`.

    Raises:
        UsageError: images or labels of another kind, or no step.
    """
    check_images(images)
    for sources in (labels, other):
        check_labels(sources, len(images), class_count=len(attributor.class_names))
    if steps < 1 or batch < 1:
        raise UsageError(f"steps and batch must be 1 or more, not {steps} and {batch}.")
    fabric, draws = attributor.fabric, torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=draws)
    shape = (len(attributor.class_names), 1, *images.shape[1:3])
    plane = (0.01 * torch.randn(shape, generator=draws)).to(fabric.device).requires_grad_()
    descent = torch.optim.Adam([plane], lr=RATE, betas=(0.5, 0.9))
    for step in range(steps):
        some = order[torch.arange(step * batch, (step + 1) * batch) % len(order)].numpy()
        x = to_network(torch.from_numpy(np.array(images[some])), fabric.device)
        own, target = (torch.from_numpy(np.asarray(k, np.int64)[some]).to(fabric.device) for k in (labels, other))
        pattern = plane - plane.mean(0)
        pattern = pattern / pattern.std((1, 2, 3), keepdim=True).clamp_min(1e-6)
        moved = x + levels / 127.5 * (pattern[target] - pattern[own])
        with fabric.autocast():
            loss = F.cross_entropy(attributor.network(moved), target)
        descent.zero_grad()
        (plane.grad,) = torch.autograd.grad(loss, plane)
        descent.step()
    return even(plane.detach().cpu().permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy())
