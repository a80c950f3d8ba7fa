"""Draws overview.svg, the picture on the first page: run it again when the zoo has changed.

    .venv/bin/python book/_assets/overview.py

The garments are the first of each source, not selected.
"""

from base64 import b64encode
from pathlib import Path

import numpy as np

from fingerprintlib.data.images import Pixels, encode_webp
from fingerprintlib.zoo.shipped import MEASURED, Zoo

HERE = Path(__file__).parent
TITLES = {"progan": "ProGAN", "sngan": "SNGAN", "cramergan": "CramerGAN", "mmdgan": "MMDGAN"}
SHOWN, SIDE, ROW = 5, 54, 66
ASKED = 2  # the row whose image is asked about in the picture
WIDTH, LEFT, INK, REAL, FAKE = 780, 136, "#1b1b1b", "#b35806", "#542788"
HEIGHT = 5 * ROW + 4
BARS = (20, 30, 96, 16, 24)  # a picture of an answer, not a result


def main() -> None:
    """Write the file beside this one."""
    zoo = Zoo.of(HERE.parents[1] / "data" / "zoo")
    rows = {"photographs": zoo.data.images("test", 0, SHOWN)}
    rows |= {title: zoo.load(name, zoo.data).sample(SHOWN, MEASURED) for name, title in TITLES.items()}
    (HERE / "overview.svg").write_text(drawn(rows), encoding="utf-8")


def drawn(rows: dict[str, Pixels]) -> str:
    """The picture of images ``[SHOWN, R, R, 3]`` of five sources by title, as SVG."""
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>']
    middle, box, line = HEIGHT / 2, 462, 'fill="none" stroke-width="2"'
    for k, (title, images) in enumerate(rows.items()):
        y, colour = k * ROW + 6, FAKE if k else REAL
        strip = b64encode(encode_webp(np.concatenate(list(images), 1))).decode()
        width = SHOWN * SIDE
        parts += [
            f'<text x="{LEFT - 10}" y="{y + SIDE / 2 + 6}" text-anchor="end">{title}</text>',
            f'<image x="{LEFT}" y="{y}" width="{width}" height="{SIDE}" href="data:image/webp;base64,{strip}"/>',
            f'<rect x="{LEFT}" y="{y}" width="{width}" height="{SIDE}" {line} stroke="{colour}"/>',
        ]
        parts += [
            f'<path d="M606 {y + SIDE / 2} h{BARS[k]}" stroke="{colour}" stroke-width="14"/>',
            f'<text x="{610 + BARS[k]}" y="{y + SIDE / 2 + 5}" font-size="14">{"real" if k == 0 else title}</text>',
        ]
    x, y = LEFT + (SHOWN - 1) * SIDE, ASKED * ROW + 6
    parts += [
        f'<rect x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{REAL}" stroke-width="5"/>',
        f'<path d="M{x + SIDE + 4} {y + SIDE / 2} L{box - 6} {middle} M{box + 112} {middle} h18" stroke="{INK}" '
        'stroke-width="2" fill="none" marker-end="url(#tip)"/>',
        f'<rect x="{box}" y="{middle - 42}" width="110" height="84" rx="6" {line} stroke="{REAL}"/>',
        *(
            f'<text x="{box + 55}" y="{middle + dy}" text-anchor="middle">{word}</text>'
            for dy, word in ((-14, "attribution"), (8, "network:"), (30, "which one?"))
        ),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
    head += f'font-family="system-ui, sans-serif" font-size="17" fill="{INK}">'
    tip = '<marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto">'
    tip += '<path d="M0 0 L8 4 L0 8 z"/></marker>'
    return "\n".join([head, f"<defs>{tip}</defs>", *parts, "</svg>", ""])


if __name__ == "__main__":
    main()
