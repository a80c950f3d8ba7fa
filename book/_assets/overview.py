"""Draws overview.svg, the picture on the first page: run it again when the zoo or the networks have changed.

    .venv/bin/python book/_assets/overview.py

The garments are the first of each source, not selected. Fingerprints and correlations are what the shipped network of
chapter 5 gives of them: nothing is drawn by hand.
"""

from base64 import b64encode
from pathlib import Path

import numpy as np

from fingerprintlib.attribution.visualizer import Visualizer
from fingerprintlib.book.networks import network_name
from fingerprintlib.data.images import Pixels, encode_webp
from fingerprintlib.plots.fingerprints import stretch
from fingerprintlib.zoo.networks import Networks
from fingerprintlib.zoo.shipped import MEASURED, Zoo

HERE = Path(__file__).parent
TITLES = {"progan": "ProGAN", "sngan": "SNGAN", "cramergan": "CramerGAN", "mmdgan": "MMDGAN"}
MINUS = "\N{MINUS SIGN}"
SHOWN, SIDE, ROW = 4, 40, 48
ASKED = 2  # the row whose last image is asked about
WIDTH, TOP, LEFT, INK, REAL, FAKE = 460, 38, 86, "#1b1b1b", "#b35806", "#542788"
HEIGHT = TOP + 5 * ROW
OWN, MODELS, BARS = 276, 346, 394  # where fingerprints of the image, of the models, and bars begin
WIDEST = 30  # of a bar, in pixels


def main() -> None:
    """Write the file beside this one."""
    data = HERE.parents[1] / "data"
    zoo = Zoo.of(data / "zoo")
    rows = {"photographs": zoo.data.images("test", 0, SHOWN)}
    rows |= {title: zoo.load(name, zoo.data).sample(SHOWN, MEASURED) for name, title in TITLES.items()}
    visualizer = Networks(data / "networks").load(network_name("fingerprints", "normalized correlation"))
    (HERE / "overview.svg").write_text(drawn(rows, visualizer), encoding="utf-8")


def drawn(rows: dict[str, Pixels], visualizer: Visualizer) -> str:
    """The picture of images ``[SHOWN, R, R, 3]`` of five sources by title, as SVG.

    It is drawn for a telephone, where a unit is three quarters of a pixel: letters of 12 units are 9 pixels there.
    """
    asked = list(rows.values())[ASKED][-1:]
    own = stretch(visualizer.fingerprints(asked).mean(-1, keepdims=True).repeat(3, -1))[0]
    models = stretch(visualizer.model_fingerprints.mean(-1, keepdims=True).repeat(3, -1))
    responses = visualizer.responses(asked)[0]
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>']
    heads = {LEFT + SHOWN * SIDE / 2: ("images", "of five sources"), OWN + SIDE / 2: ("fingerprint", "of one")}
    heads |= {MODELS + SIDE / 2: ("those of", "the sources"), BARS + 36: ("", "likeness")}
    for x, lines in heads.items():
        parts += [f'<text x="{x}" y="{13 + 14 * k}" text-anchor="middle">{line}</text>' for k, line in enumerate(lines)]
    for k, (title, images) in enumerate(rows.items()):
        y, colour = TOP + k * ROW, FAKE if k else REAL
        middle = y + SIDE / 2
        bar = max(2.0, WIDEST * float(responses[k]) / float(responses.max()))
        parts += [
            f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{title}</text>',
            _picture(np.concatenate(list(images), 1), LEFT, y, SHOWN * SIDE, colour),
            _picture(models[k], MODELS, y, SIDE, colour),
            f'<path d="M{BARS} {middle} h{bar:.1f}" stroke="{colour}" stroke-width="12"/>',
            f'<text x="{BARS + bar + 4:.1f}" y="{middle + 4}">{f"{responses[k]:.2f}".replace("-", MINUS)}</text>',
        ]
    x, y = LEFT + (SHOWN - 1) * SIDE, TOP + ASKED * ROW
    middle = y + SIDE / 2
    arrow = f'stroke="{INK}" stroke-width="1.5" fill="none" marker-end="url(#tip)"'
    parts += [
        f'<rect x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{INK}" stroke-width="4"/>',
        _picture(own, OWN, y, SIDE, INK),
        f'<path d="M{x + SIDE + 4} {middle} H{OWN - 4}" {arrow}/>',
        f'<path d="M{OWN + SIDE + 4} {middle} H{MODELS - 4}" {arrow}/>',
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
    head += f'font-family="system-ui, sans-serif" font-size="12" fill="{INK}">'
    tip = '<marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto">'
    tip += f'<path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker>'
    return "\n".join([head, f"<defs>{tip}</defs>", *parts, "</svg>", ""])


def _picture(image: np.ndarray, x: float, y: float, width: float, colour: str) -> str:
    """An image with a frame; its pixels stay squares."""
    href = "data:image/webp;base64," + b64encode(encode_webp(image)).decode()
    place = f'x="{x}" y="{y}" width="{width}" height="{SIDE}"'
    frame = f'<rect {place} fill="none" stroke-width="2" stroke="{colour}"/>'
    return f'<image {place} href="{href}" style="image-rendering: pixelated"/>{frame}'


if __name__ == "__main__":
    main()
