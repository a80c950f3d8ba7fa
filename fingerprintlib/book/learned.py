"""An attributor's page: what it learned from, what it is worth, and what may be wrong with that. It stands alone."""

import html
from collections.abc import Mapping, Sequence

from pandas import DataFrame

from .. import plots
from ..data.files import in_words
from ..forensics.calibrating import REJECTED
from ..forensics.examining import ANSWERS, CONDITIONS, Examination
from ..forensics.findings import PROBED, Findings
from ..forensics.judging import Judge
from ..plots import Plot
from ..statistics.metrics import Report
from .widgets import data_url, standing_alone

LISTED = 200  # files that could not be read; the command names all

FOOLS = """\
<ul>
<li><b>Whatever else differs between the sources.</b> The network takes the easiest way to tell them apart. Formats,
JPEG qualities, sizes, colour profiles, colours and doubles were looked at; cameras, motifs, programs and years were
not.</li>
<li><b>Strangers.</b> An image of a source that it has not learned should be called unknown. How often it is, these
images cannot tell: hold a source back, learn without it, and see.</li>
<li><b>Stronger handling.</b> It has learned to withstand a slight crop, resize and blur, faint noise, and JPEG of
quality 50 and above. Screenshots, filters and messengers may do more.</li>
<li><b>Intent.</b> Who has this file can alter images until the answer is another, without anybody seeing it.</li>
<li><b>Time.</b> A generator that is trained again, or gets a new version, has another fingerprint.</li>
</ul>"""


def page(judge: Judge, findings: Findings, examined: Examination, title: str) -> str:
    """The page of an attributor that was learned from folders, as HTML.

    Args:
        judge: of the attributor.
        findings: what there was to be wary of.
        examined: what it is worth.
        title: of the page, as plain text.
    """
    names = judge.class_names
    first, *_ = examined.reports.values()
    chance = _percent(1 / len(names))
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="lead">Which of {len(names)} sources is an image from: {html.escape(", ".join(names))}? Of '
        f"{first.count:,} test images this attributor says:</p>",
        f'<ul class="lead">{"".join(f"<li>{_headline(examined, condition)}</li>" for condition in CONDITIONS)}</ul>',
        f'<p class="lead">Guessing would be right in {chance}. In brackets: 95 % intervals.</p>',
        _wary(findings.warnings),
        "<h2>How often it is right</h2>",
        _table(_answers(examined)),
        "<p>It names a source only if the image is like those that it has learned, and if the answer stays the same "
        f"when the image is saved or cropped a little; else it answers unsure. About {_percent(REJECTED)} of the "
        "images of known sources, as they are, will be called unknown: so the lines were drawn. <i>Handled</i> images "
        "were changed as happens to images on their way: slightly cropped, resized, blurred, saved as JPEG.</p>",
        _accused(examined.accused),
        _figure(plots.confusions(examined.reports)),
        "<h2>Is it a fingerprint?</h2>",
        _table(_probes(examined)),
        f"<p>What gets as far without any fine structure needs no fingerprint. These classifiers learned from at most "
        f"{PROBED} images of each source, the network from all. Whether it finds sources even where there are none "
        "(labels shuffled at random) was not tried here: that takes another training.</p>",
        "<h2>Are its probabilities to be believed?</h2>",
        _figure(plots.reliability(examined.curves)),
        "<p>Of the images that it names with 80 % confidence four in five should be named rightly, on the dotted line. "
        f"Confidence and accuracy differ by {_errors(examined.errors)} points on average. That holds for images of "
        "these sources, each as likely as the others, and for no stranger.</p>",
        "<h2>What could fool it</h2>",
        FOOLS,
        "<h2>The images</h2>",
        _table(_counts(findings)),
        _files(findings),
        "<h2>How it was made</h2>",
        f"<p><small>{_made(judge)}</small></p>",
    ]
    return standing_alone(title, "\n".join(part for part in parts if part))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _headline(examined: Examination, condition: str) -> str:
    report, counts = examined.reports[condition], examined.answers[condition]
    rightly, wrongly, unsure, unknown = (_percent(counts[answer] / sum(counts.values())) for answer in ANSWERS)
    return (
        f"{condition}: the likeliest source is the right one for <b>{report.told()} %</b>; "
        f"named rightly {rightly}, wrongly {wrongly}, unsure {unsure}, unknown {unknown}"
    )


def _wary(warnings: Sequence[str]) -> str:
    if not warnings:
        return "<p>Nothing was found that makes the sources differ in an obvious way besides how they were made.</p>"
    items = "\n".join(f"<li>{html.escape(warning)}</li>" for warning in warnings)
    return f'<div class="wary"><p><b>Read this first.</b></p>\n<ul>\n{items}\n</ul></div>'


def _answers(examined: Examination) -> DataFrame:
    rows = []
    for condition, counts in examined.answers.items():
        total = sum(counts.values())
        row = {"images": condition, "likeliest is right, %": examined.reports[condition].told()}
        titles = {"rightly": "named rightly, %", "wrongly": "named wrongly, %"}
        rows.append(row | {titles.get(k, f"{k}, %"): f"{100 * count / total:.1f}" for k, count in counts.items()})
    return DataFrame(rows)


def _accused(accused: Mapping[str, Report]) -> str:
    told = []
    for condition, silent in accused.items():
        low, high = silent.interval
        told.append(
            f"{silent.count - silent.correct} of {silent.count:,} {condition} (95 % interval of the share: "
            f"{_percent(1 - high)} to {_percent(1 - low)})"
        )
    return f"<p>Test photographs that it calls generated: {'; '.join(told)}.</p>" if told else ""


def _probes(examined: Examination) -> DataFrame:
    chance = 1 / len(next(iter(examined.reports.values())).class_names)
    network = next(iter(examined.reports.values())).told()
    rows = [("the network", network), *((name, report.told()) for name, report in examined.probes.items())]
    return DataFrame([*rows, ("guessing", f"{100 * chance:.1f}")], columns=["what is seen", "named rightly, %"])


def _errors(errors: Mapping[str, float]) -> str:
    return " and ".join(f"{100 * error:.1f} ({condition})" for condition, error in errors.items())


def _counts(findings: Findings) -> DataFrame:
    rows = [{"source": name} | {split: f"{n:,}" for split, n in some.items()} for name, some in findings.counts.items()]
    return DataFrame(rows)


def _files(findings: Findings) -> str:
    text = "<p>Files that show the same picture are in one split.</p>"
    if findings.passed_over:
        text += f"<p>{html.escape(in_words(findings.passed_over))}.</p>"
    if unread := findings.unread:
        items = "\n".join(f"<li>{html.escape(one)}</li>" for one in unread[:LISTED])
        more = f"<p>And {len(unread) - LISTED:,} more.</p>" if len(unread) > LISTED else ""
        summary = f"<summary>Files that were not used: {len(unread):,}</summary>"
        text += f"<details>{summary}\n<ul>\n{items}\n</ul>{more}</details>"
    return text


def _made(judge: Judge) -> str:
    made, calibration = judge.attributor.provenance, judge.calibration
    view = {"shrunk": "the middle square, shrunk", "middle": "the pixels in the middle, as they are"}[judge.view]
    line = bounds = ""
    if calibration.line is not None and calibration.bounds is not None:
        low, high = calibration.bounds
        line = f" Called generated is what is more than 10<sup>{calibration.line:.1f}</sup> times likelier generated."
        bounds = (
            f" The images bear out ratios of 10<sup>{low:.1f}</sup> to 10<sup>{high:.1f}</sup>, no others are told."
        )
    told = html.escape(
        f"A network of width {judge.attributor.network.width:g} that looks at {judge.resolution} x {judge.resolution} "
        f"pixels ({view}), finetuned on handled images for {judge.attributor.steps:,} steps, {made['trained'][:10]}, "
        f"fingerprintlib {made['versions']['fingerprintlib']}, torch {made['versions']['torch']}, {made['device']}; "
        f"weights {judge.attributor.hash[:12]}. Calibrated on {calibration.told['images']:,} validation images, clean "
        f"and handled: temperature {calibration.temperature:.2f}."
    )
    return told + line + bounds


def _figure(plot: Plot) -> str:
    return f'<div class="scroll"><img alt="{html.escape(plot.alt)}" src="{data_url(plot.png())}"></div>'


def _table(frame: DataFrame) -> str:
    return f'<div class="scroll">{frame.to_html(index=False, border=0, justify="left")}</div>'
