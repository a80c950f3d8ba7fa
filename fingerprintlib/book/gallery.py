"""Sweeps as HTML: a slider a parameter that switches figures drawn beforehand, a table, and a page of its own.

As the `player`, they work from a folder, without a network and without a kernel.
"""

import html
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from pandas import DataFrame, Series

from .. import plots
from ..plots import Plot
from ..plots.sweeps import told
from ..provenance import write_atomically
from .grids import in_words
from .sweeps import Point, Sweep, small
from .widgets import FRAME, data_url, script_data, standing_alone, widget_id

SLIDERS = Template("""\
<div class="fp-widget fp-knobs" id="$id" role="group" aria-label="$title">
<style>
$frame
.fp-knobs h3 { margin-top: 0; }
.fp-knobs .fp-knob { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: center; margin: .4rem 0; }
.fp-knobs .fp-knob[hidden] { display: none; }
.fp-knobs .fp-knob label { flex: 1 1 16rem; }
.fp-knobs .fp-knob input { flex: 2 1 14rem; accent-color: #542788; }
.fp-knobs .fp-value { min-width: 6rem; font-weight: bold; font-variant-numeric: tabular-nums; }
.fp-knobs figure { margin: .8rem 0; }
.fp-knobs figcaption { font-size: .9rem; margin-top: .3rem; }
.fp-knobs img { display: block; max-width: 100%; height: auto; background: white; }
.fp-knobs .fp-scroll { overflow: auto; max-height: 18rem; }
.fp-knobs table { border-collapse: collapse; font-size: .9rem; margin: 0; font-variant-numeric: tabular-nums; }
.fp-knobs td, .fp-knobs th { padding: .15rem .6rem; text-align: left; border-bottom: 1px solid #8884; }
.fp-knobs .fp-here { font-weight: bold; background: #998ec333; }
.fp-knobs .fp-small { font-size: .85rem; }
@media print { .fp-knobs .fp-knob { display: none; } .fp-knobs .fp-scroll { max-height: none; } }
</style>
<h3>$title</h3>
$knobs
<p class="fp-words">$words</p>
<figure>
<img class="fp-curve" alt="$alt" src="$curve">
<figcaption>$caption</figcaption>
</figure>
$picture
<div class="fp-scroll" tabindex="0" role="region" aria-label="All numbers of the figure">$table</div>
<p class="fp-small">$provenance</p>
<script>
(function () {
  const data = $data;
  const root = document.getElementById("$id");
  const knobs = [...root.querySelectorAll("input")], rows = [...root.querySelectorAll("tbody tr")];
  const find = name => root.querySelector(name);
  function show() {
    let place = 0;
    knobs.forEach((knob, k) => {
      const value = data.values[k][knob.value];
      knob.setAttribute("aria-valuetext", data.names[k] + " = " + value);
      knob.parentElement.querySelector(".fp-value").textContent = value;
      place = place * data.values[k].length + Number(knob.value);
    });
    const frame = data.frames[place];
    find(".fp-words").textContent = frame.words;
    find(".fp-curve").src = frame.curve;
    find(".fp-curve").alt = frame.alt;
    if (frame.picture) {
      find(".fp-picture").src = frame.picture;
      find(".fp-picture").alt = frame.pictured;
    }
    rows.forEach((row, k) => row.classList.toggle("fp-here", k === place));
  }
  knobs.forEach((knob, k) => {
    knob.parentElement.hidden = data.values[k].length < 2;
    knob.addEventListener("input", show);
  });
  show();
})();
</script>
<noscript>This is the first figure; the others need JavaScript, their numbers are in the table.</noscript>
</div>
""")

HOW = """\
There is no sweep of the generators that the book has today. This makes one, over three lengths of training, and the
next build shows it here:

```
.venv/bin/fingerprints sweep attribution -p networks=trained -p steps=500,1000,2000 --publish attribution-steps
```
"""


def figure(sweep: Sweep, at: int | None = None) -> Plot:
    """What is `shown` against the first parameter that was turned, a line a combination of the others.

    Args:
        sweep: what was found.
        at: the number of a point, to be marked.
    """
    parameter, *others = sweep.turned
    lines = [in_words({name: point.values[name] for name in others}) for point in sweep.points]
    panels = {}
    for name in sweep.shown:
        found = Series([sweep.scaled(point, name) for point in sweep.points], dtype=object)
        panels[sweep.printed(name)] = found.groupby(lines, sort=False).agg(list).to_dict()
    values = sweep.parameters[parameter]
    marked = None if at is None else (lines[at], values.index(sweep.points[at].values[parameter]))
    return plots.against_parameter(parameter, values, panels, marked)


def caption(sweep: Sweep) -> str:
    """What the `figure` shows, in words."""
    parameter, *others = sweep.turned
    lines = "; a line for each setting of the other knobs" if others else ""
    return (
        f"What the chapter finds, against {parameter} ({sweep.meanings[parameter]}){lines}. Bars are 95 % intervals. "
        "The grey band and the ring mark where the sliders stand."
    )


def table(sweep: Sweep) -> str:
    """What is `shown`, as an HTML table with a row a point."""
    rows = [
        [str(point.values[name]) for name in sweep.turned] + [told(sweep.scaled(point, name)) for name in sweep.shown]
        for point in sweep.points
    ]
    frame = DataFrame(rows, columns=[*sweep.turned, *map(sweep.printed, sweep.shown)])
    return frame.to_html(index=False, border=0, justify="left")


def sliders(sweep: Sweep, pictures: bool) -> str:
    """HTML with a slider a parameter; it shows the `figure` of the point where they stand, and the point's picture.

    The sliders are the browser's own, so the arrow keys move them. Without JavaScript the first figure and the table
    remain.

    Args:
        sweep: a published one.
        pictures: whether to show the chapter's own figure, where the points have one.
    """
    frames = [_frame(sweep, number, point, pictures) for number, point in enumerate(sweep.points)]
    values = [[str(value) for value in values] for values in sweep.parameters.values()]
    data = script_data({"names": list(sweep.parameters), "values": values, "frames": frames})
    widget, first = widget_id("knobs", sweep.name + data), frames[0]
    picture = ""
    if first.get("picture"):
        told = f"A figure of the chapter {html.escape(sweep.title)}, made with these values."
        picture = f'<img class="fp-picture" alt="{html.escape(first["pictured"])}" src="{first["picture"]}">'
        picture = f"<figure>{picture}<figcaption>{told}</figcaption></figure>"
    return SLIDERS.substitute(
        id=widget,
        frame=FRAME,
        title=html.escape(f"{sweep.title}: {', '.join(sweep.turned)}"),
        knobs="\n".join(_knob(sweep, widget, k) for k in range(len(values))),
        words=html.escape(first["words"]),
        alt=html.escape(first["alt"]),
        curve=first["curve"],
        caption=html.escape(caption(sweep)),
        picture=picture,
        table=table(sweep),
        provenance=provenance(sweep),
        data=data,
    )


def _knob(sweep: Sweep, widget: str, k: int) -> str:
    """A slider, hidden until the script has come to life: a reader without scripts has no dead knobs before them."""
    name, values = list(sweep.parameters.items())[k]
    return (
        f'<div class="fp-knob" hidden><label for="{widget}-{k}"><code>{html.escape(name)}</code>: '
        f"{html.escape(sweep.meanings[name])}</label>"
        f'<input type="range" id="{widget}-{k}" min="0" max="{len(values) - 1}" step="1" value="0" autocomplete="off" '
        f'aria-valuetext="{html.escape(f"{name} = {values[0]}")}">'
        f'<span class="fp-value" aria-hidden="true">{html.escape(str(values[0]))}</span></div>'
    )


def _frame(sweep: Sweep, number: int, point: Point, pictures: bool) -> dict[str, str]:
    plot = figure(sweep, number)
    found = [f"{sweep.printed(name)}: {told(sweep.scaled(point, name))}" for name in sweep.shown]
    curve = small(plot.png())
    at = in_words({name: point.values[name] for name in sweep.turned})
    frame = {"words": f"At {at}. {'; '.join(found)}.", "alt": plot.alt, "curve": data_url(curve)}
    if pictures and point.picture:
        frame["picture"] = data_url(point.picture.data, point.picture.suffix)
        frame["pictured"] = f"At {in_words(point.values)}: {point.picture.alt}"
    return frame


def provenance(sweep: Sweep) -> str:
    """How a sweep was made, as HTML."""
    made = sweep.provenance
    told = (
        f"Chapter {sweep.chapter} at the profile {made['profile']}, {made['date']}, fingerprintlib {made['version']} "
        f"(code {made['code'][:8]}, zoo {made['zoo'][:8]}), {made['machine']}, device {made['device']}, "
        f"{made['cores']} cores used."
    )
    one = {name: values[0] for name, values in sweep.parameters.items() if name not in sweep.turned}
    fixed = {**one, **sweep.held}
    held = f" Held fixed: {in_words(fixed)}." if fixed else ""
    return html.escape(f"{told}{held} In brackets: 95 % intervals, where the chapter gives them.")


def write_report(sweep: Sweep, folder: Path) -> Path:
    """Write the figure (``sweep.png``) and a page with it and the table; returns ``sweep.html``, which stands alone."""
    drawn = "<p>The chapter recorded no number.</p>"
    if sweep.shown:
        plot = figure(sweep)
        data = plot.png()
        write_atomically(folder / "sweep.png", data)
        drawn = f'<img alt="{html.escape(plot.alt)}" src="{data_url(data)}">'
    title = f"{sweep.title}: {', '.join(sweep.turned)}"
    body = [f"<h1>{html.escape(title)}</h1>", f'<div class="scroll">{drawn}</div>']
    body += [f'<div class="scroll">{table(sweep)}</div>', f"<p>{provenance(sweep)}</p>"]
    write_atomically(folder / "sweep.html", standing_alone(title, "\n".join(body)))
    return folder / "sweep.html"


def pieces(sweeps: Sequence[Sweep], pictures: bool) -> list[Any]:
    """What the gallery displays: the `sliders` of each sweep, or how to make one if there is none."""
    from IPython.display import HTML, Markdown

    return [HTML(sliders(sweep, pictures)) for sweep in sweeps] or [Markdown(HOW)]
