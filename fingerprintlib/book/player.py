"""Attribution as a moving picture: image after image, its fingerprint, and how each source responds to it.

`player` is a piece of HTML that works from a folder, without a network. `pick` is its live relative for JupyterLab.
"""

import html
import math
import os
from collections.abc import Callable, Sequence
from string import Template
from typing import Any

import numpy as np

from ..data.images import Pixels, encode_png, grid
from ..errors import UsageError
from .widgets import FRAME, data_url, script_data, widget_id

PAGE = Template("""\
<div class="fp-widget fp-player" id="$id" role="group" aria-label="$title">
<style>
$frame
.fp-player .fp-stage { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; }
.fp-player img { width: 18rem; max-width: 100%; image-rendering: pixelated; }
.fp-player table { border-collapse: collapse; font-size: .9rem; flex: 1 1 16rem; margin: 0; }
.fp-player td, .fp-player th { padding: .15rem .4rem; text-align: left; font-weight: normal; border: 0; }
.fp-player .fp-track { width: 55%; }
.fp-player .fp-bar { height: .8rem; background: #998ec3; }
.fp-player .fp-best .fp-bar { background: #542788; }
.fp-player .fp-best th, .fp-player .fp-best td { font-weight: bold; }
.fp-player tbody th { white-space: nowrap; }
.fp-player button { font: inherit; padding: .2rem .7rem; margin-right: .3rem; }
.fp-player .fp-number { text-align: right; font-variant-numeric: tabular-nums; }
</style>
<div class="fp-stage"><img alt="$alt" src="$image">
<table><thead><tr><th>source</th><th>$measure</th><th></th></tr></thead><tbody></tbody></table></div>
<p><span class="fp-verdict">$verdict</span></p>
<p><button type="button" class="fp-previous">Previous</button>
<button type="button" class="fp-play" aria-pressed="false">Play</button>
<button type="button" class="fp-next">Next</button>
<span class="fp-place"></span></p>
<script>
(function () {
  const data = $data;
  const root = document.getElementById("$id");
  const find = name => root.querySelector(name);
  const play = find(".fp-play"), body = find("tbody"), picture = find("img");
  let place = 0, timer = null;
  function cell(row, kind, text, name) {
    const made = row.appendChild(document.createElement(kind));
    made.textContent = text;
    made.className = name;
    return made;
  }
  function show() {
    const frame = data.frames[place];
    picture.src = frame.image;
    picture.alt = frame.alt;
    find(".fp-verdict").textContent = frame.verdict;
    find(".fp-place").textContent = (place + 1) + " of " + data.frames.length;
    const low = Math.min(0, ...frame.responses), high = Math.max(0, ...frame.responses), span = high - low || 1;
    body.replaceChildren();
    frame.responses.forEach((response, k) => {
      const row = body.appendChild(document.createElement("tr"));
      row.className = k === frame.named ? "fp-best" : "";
      cell(row, "th", data.names[k] + (k === frame.source ? " (true)" : ""), "");
      const bar = cell(row, "td", "", "fp-track").appendChild(document.createElement("div"));
      bar.className = "fp-bar";
      bar.style.width = 100 * Math.abs(response) / span + "%";
      bar.style.marginLeft = 100 * (Math.min(0, response) - low) / span + "%";
      cell(row, "td", frame.texts[k], "fp-number");
    });
  }
  function move(by) { place = (place + by + data.frames.length) % data.frames.length; show(); }
  function stop() { clearInterval(timer); timer = null; play.textContent = "Play"; play.ariaPressed = "false"; }
  function start() {
    timer = setInterval(() => move(1), data.milliseconds);
    play.textContent = "Pause";
    play.ariaPressed = "true";
  }
  play.addEventListener("click", () => timer === null ? start() : stop());
  find(".fp-previous").addEventListener("click", () => { stop(); move(-1); });
  find(".fp-next").addEventListener("click", () => { stop(); move(1); });
  show();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) start();
})();
</script>
<noscript>The other images need JavaScript.</noscript>
</div>
""")


def player(
    images: Pixels,
    fingerprints: Pixels,
    responses: np.ndarray,
    labels: Sequence[int],
    names: Sequence[str],
    measure: str = "response",
    seconds: float = 1.5,
) -> str:
    """HTML that shows one image after the other with its fingerprint, the responses as bars, and the verdict.

    Everything is inside: pictures as data, a few lines of script. It plays by itself unless the reader's system asks
    for less motion; its buttons are ordinary ones, so the keyboard works them.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        fingerprints: theirs, made visible (`plots.fingerprints.stretch`), uint8 ``[N, H, W, 3]``.
        responses: ``[N, K]``; the highest of a row names the source.
        labels: true sources, ``[N]``, indices of `names`.
        names: the K sources.
        measure: what a response is, for the head of the table.
        seconds: each image stays.

    Raises:
        UsageError: there is nothing to show, or not as many of one as of the other.
    """
    if not len(images) or not len(images) == len(fingerprints) == len(responses) == len(labels):
        counts = ", ".join(str(len(some)) for some in (images, fingerprints, responses, labels))
        raise UsageError(f"images, fingerprints, responses and labels must be as many, at least one, not {counts}.")
    frames = [
        _frame(*row, names) for row in zip(images, fingerprints, np.asarray(responses, float), labels, strict=True)
    ]
    data = {"names": list(names), "frames": frames, "milliseconds": round(1000 * seconds)}
    text = script_data(data)
    return PAGE.substitute(
        id=widget_id("player", text),
        frame=FRAME,
        title="Images, their fingerprints and the sources' responses",
        alt=html.escape(frames[0]["alt"]),
        image=frames[0]["image"],
        measure=html.escape(measure),
        verdict=html.escape(frames[0]["verdict"]),
        data=text,
    )


def _frame(
    image: Pixels, fingerprint: Pixels, responses: np.ndarray, label: int, names: Sequence[str]
) -> dict[str, Any]:
    named, source = int(responses.argmax()), int(label)
    widest = max(float(np.abs(responses).max()), 1e-3)
    decimals = max(0, 1 - math.floor(math.log10(widest)))  # two digits of the largest, and all alike
    texts = [f"{response:z.{decimals}f}" for response in responses]
    verdict = (
        f"✓ right: {names[source]}"
        if named == source
        else f"✗ wrong: taken for {names[named]}, but it is of {names[source]}"
    )
    told = ", ".join(f"{name} {text}" for name, text in zip(names, texts, strict=True))
    return {
        "image": data_url(encode_png(grid(np.stack([image, fingerprint]), 2))),
        "alt": f"Left an image of {names[source]}, right its fingerprint. Responses: {told}.",
        "verdict": verdict,
        "responses": [float(f"{response:.4g}") for response in responses],
        "texts": texts,
        "named": named,
        "source": source,
    }


def pick(count: int, draw: Callable[[int], None]) -> None:
    """A slider over ``0 .. count - 1`` that calls ``draw(number=...)``, in JupyterLab; nothing while the book is built.

    A page from a folder has no Python behind it: there, a slider would only look as if it worked.
    """
    if "FINGERPRINTS_BUILD" in os.environ:
        return
    from IPython.display import display
    from ipywidgets import IntSlider, interactive

    display(interactive(draw, number=IntSlider(0, 0, count - 1, description="image", continuous_update=False)))
