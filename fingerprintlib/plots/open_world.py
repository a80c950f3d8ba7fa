"""The open world: are probabilities to be believed, and how strongly does the evidence speak?"""

from collections.abc import Mapping

import numpy as np

from ..statistics.calibration import ReliabilityCurve
from .axes import Floats, legend_below, listed, new_axes, new_row
from .style import REFERENCE, Plot, accent_of, colour_of, dash_of, marker_of, styled

LEAST_DOUBT = 0.01  # percent: what is less is drawn here


@styled
def reliability(curves: Mapping[str, ReliabilityCurve]) -> Plot:
    """How often images are named wrongly against how much the network doubted, with 95 % intervals; both logarithmic.

    Of a good network nearly all confidences are close to 1, where only what is lacking shows. A bin without any error
    is drawn at the bottom, with what its interval still allows.

    Args:
        curves: title to its bins; see `calibration.reliability_curve`.
    """
    figure, axes = new_row(2.9, len(curves), sharey=True)
    for k, (ax, (title, curve)) in enumerate(zip(np.atleast_1d(axes), curves.items(), strict=True)):
        doubt, wrong, least, most = (100 * (1 - x) for x in (curve.confidence, curve.accuracy, curve.high, curve.low))
        ends = LEAST_DOUBT, 100
        ax.plot(ends, ends, **REFERENCE)
        shown = np.clip(wrong, *ends)
        errors = np.maximum(0, [shown - np.clip(least, *ends), np.clip(most, *ends) - shown])
        style = {"fmt": marker_of(k), "color": accent_of(k), "capsize": 2, "elinewidth": 1}
        ax.errorbar(np.clip(doubt, *ends), shown, errors, **style)
        room = 0.6 * LEAST_DOUBT, 150  # for marks at the ends
        ax.set(title=title, xlabel="doubt (100 less confidence), %", xscale="log", yscale="log", xlim=room, ylim=room)
        for axis in (ax.xaxis, ax.yaxis):
            places = [LEAST_DOUBT, 0.1, 1, 10, 100]
            axis.set_ticks(places, [f"\N{LESS-THAN OR EQUAL TO}{LEAST_DOUBT:g}", *map("{:g}".format, places[1:])])
            axis.set_ticks([], minor=True)
    np.atleast_1d(axes)[0].set_ylabel("named wrongly, %")
    told = listed(
        {
            title: [
                f"{100 * c:.0f} % sure, {100 * a:.0f} % right" for c, a in zip(x.confidence, x.accuracy, strict=True)
            ]
            for title, x in curves.items()
        }
    )
    return Plot(figure, f"How often images are named rightly against how confident the network is. {told}.")


@styled
def tippett(curves: Mapping[str, tuple[Floats, Floats, Floats]], kinds: tuple[str, str]) -> Plot:
    """Tippett plots: of either kind the share of comparisons whose likelihood ratio is larger than a value.

    Args:
        curves: title to values (decimal logarithms), and the shares of the first and of the second kind above them;
            see `likelihood_ratios.tippett`.
        kinds: names of the two kinds.
    """
    figure, axes = new_axes(2.9, 1, len(curves), sharey=True)
    words = []
    for ax, (title, (values, *shares)) in zip(axes[0], curves.items(), strict=True):
        for k, (kind, share) in enumerate(zip(kinds, shares, strict=True)):
            from_all = [values[0], *values], [100, *(100 * share)]
            ax.plot(*from_all, color=colour_of(k + 1), ls=dash_of(k), drawstyle="steps-post", label=kind)
        ax.axvline(0, **REFERENCE)
        ax.set(title=title, xlabel="log10 of the likelihood ratio", ylim=(-2, 102))
        step = np.searchsorted(values, 0, side="right")  # the first above 0
        above = [100 * (share[step - 1] if step else 1) for share in shares]
        words.append(f"{title}: above 0 are {above[0]:.1f} % of {kinds[0]} and {above[1]:.1f} % of {kinds[1]}")
    axes[0, 0].set_ylabel("images above, %")
    legend_below(figure)
    return Plot(figure, f"Tippett plot. {'; '.join(words)}.")
