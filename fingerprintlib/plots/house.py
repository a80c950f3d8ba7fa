"""How the library is built."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
from matplotlib.patches import FancyArrowPatch

from .axes import bare, listed, new_ax
from .style import Plot, accent_of, styled

LINE = 0.17  # inches


@styled
def house(
    rooms: Mapping[str, Sequence[str]], uses: Mapping[tuple[str, str], int], way: Mapping[str, Sequence[str]]
) -> Plot:
    """The rooms one below the other, what is used above whoever uses it; at the right arcs from the one to the other.

    Args:
        rooms: name to modules, each room after all that it uses.
        uses: how many modules of one room use another, by user and used.
        way: what a room does to an image on its way, if it does.
    """
    told = {room: wrap(", ".join(names), 74) for room, names in rooms.items()}
    heights = [LINE * (2 + len(lines)) for lines in told.values()]
    figure, ax = new_ax(sum(heights))
    tops = np.cumsum([0, *heights[:-1]])
    middles = dict(zip(rooms, tops + np.array(heights) / 2, strict=True))
    for (room, lines), top in zip(told.items(), tops, strict=True):
        ax.text(0, top + LINE, room, weight="bold", va="center")
        ax.text(1.2, top + LINE, ", ".join(way.get(room, ())), style="italic", va="center", color=accent_of(1))
        ax.text(0, top + 1.6 * LINE, "\n".join(lines), va="top", color="0.35", size=8)
    places = {room: number for number, room in enumerate(rooms)}
    most = max(uses.values())
    for number, ((user, used), count) in enumerate(sorted(uses.items(), key=lambda item: -item[1])):
        far = places[user] - places[used]
        arc = FancyArrowPatch(
            (5.2, middles[used]),
            (5.2, middles[user]),
            connectionstyle=f"arc3,rad={-0.35 - 0.02 * far}",
            arrowstyle="-|>,head_length=3,head_width=2",
            lw=0.6 + 2.4 * count / most,
            color=accent_of(places[used]),
            alpha=0.75,
            zorder=-number,
        )
        ax.add_patch(arc)
    ax.set(xlim=(0, 8.4), ylim=(sum(heights), 0))
    bare(ax)
    nearest = {room: [used for user, used in uses if user == room] for room in rooms}
    alt = listed({room: names for room, names in nearest.items() if names})
    return Plot(figure, f"The rooms of the library, each below those that it uses. {alt}.")
