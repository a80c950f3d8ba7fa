"""What networks were asked before: a page comes back to the same images again and again, each network computes once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor, nn

from ..checkpoints import tensors_hash
from ..provenance import content_hash

MOST = 50_000  # rows that are kept of a network, those used last: some 25 MB

_kept: WeakKeyDictionary[nn.Module, OrderedDict[Hashable, Tensor]] = WeakKeyDictionary()
_lock = Lock()  # files are judged by several threads


def once(network: nn.Module, how: Hashable, images: np.ndarray, compute: Callable[[], Tensor]) -> Tensor:
    """What `compute` gives, a row an image, or gave for the same images when they were last asked about; not to change.

    Args:
        network: that computes; once its weights have changed, nothing is remembered. They are hashed each time, in
            milliseconds: torch's counters of changes miss those of fused optimizers and of ``data``.
        how: whatever else the result depends on.
        images: ``[N, ...]``; reading them once costs a fiftieth of judging them.
        compute: called without arguments.
    """
    key = how, tensors_hash(network.state_dict()), images.shape, content_hash(np.ascontiguousarray(images).data)
    with _lock:
        kept = _kept.setdefault(network, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
            return kept[key]
    found = compute()
    with _lock:
        kept[key] = found
        while len(kept) > 1 and sum(map(len, kept.values())) > MOST:
            kept.popitem(last=False)
    return found
