"""An evidence report that programs can read: a CSV file with a row for each exhibit of a blind case.

A row has the probability of each answer, which are the known sources and ``unknown``, and the decimal logarithm of a
likelihood ratio: how many times likelier what was found is of a generated image than of a photograph. Nothing in such a
file is run: cells are taken for numbers or names, and whatever else is there is refused in a sentence.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ..data.decoding import name_of
from ..errors import UsageError, unknown
from ..forensics.calibrating import REAL
from ..forensics.judging import UNKNOWN
from ..provenance import write_atomically

if TYPE_CHECKING:
    from ..forensics.judging import Judge, Verdict

LEAST = 0.001  # probability that may be given: nothing is impossible, and who says so loses without end
ROUNDING = 0.01  # by which probabilities may sum to something else than 1
FARTHEST = 20.0  # log10 LR that may be given; what is farther is an LR in the place of its logarithm
EXHIBIT, RATIO, NOTES = "exhibit", "log10 of generated to real", "notes"
LARGEST = 1_000_000  # bytes of a report: some ten thousand exhibits
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
SHOWN = 40  # characters of a cell that a message shows


@dataclass(frozen=True, eq=False)
class Answers:
    """What a report says of N exhibits, in the order of the case.

    Attributes:
        probabilities: of each known source and of none of them, float64 ``[N, K + 1]``; rows sum to 1.
        log10_lrs: of generated to real, float64 ``[N]``.
    """

    probabilities: NDArray[np.float64]
    log10_lrs: NDArray[np.float64]

    @classmethod
    def of(cls, judge: "Judge", verdicts: Sequence["Verdict"]) -> "Answers":
        """What an attributor's verdicts come to.

        `unknown` is one more source, whose score is the line that is drawn through the energy: it has a probability of
        one half there. The energy is the logarithm of a density, but for a constant (Liu et al. 2020, arXiv
        2010.03759), so that takes images of no known source to be as dense everywhere as known ones are at the line. Of
        these nothing is known of how they come about, photographed or generated; so they draw the LR towards 1. It
        carries no farther than the calibration's images do.
        """
        shares = np.array([[*verdict.probabilities.values()] for verdict in verdicts])
        none = expit([-verdict.known for verdict in verdicts])
        probabilities = np.column_stack([shares * (1 - none[:, None]), none])
        bounds = judge.calibration.bounds
        if bounds is None:
            return cls(probabilities, np.zeros(len(verdicts)))
        real = judge.class_names.index(REAL)
        generated = np.delete(shares, real, axis=1).mean(1) * (1 - none)
        with np.errstate(divide="ignore"):  # of what is beyond doubt; it is cut off
            log10_lrs = np.log10(generated + none) - np.log10(probabilities[:, real] + none)
        return cls(probabilities, np.clip(log10_lrs, *bounds))


def columns(sources: Sequence[str]) -> list[str]:
    """The heads of a report's columns."""
    return [EXHIBIT, *(f"p({name})" for name in (*sources, UNKNOWN)), RATIO, NOTES]


def write_report(path: Path, sources: Sequence[str], names: Sequence[str], answers: Answers | None = None) -> None:
    """Write a report, or one with empty cells to be filled in.

    Args:
        path: of the CSV file.
        sources: the known ones.
        names: of the exhibits.
        answers: to each of them; probabilities below `LEAST` are raised to it, as a reader wants them.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(columns(sources))
    for row, name in enumerate(names):
        cells = [""] * (len(sources) + 2)
        if answers is not None:
            each = answers.probabilities[row]
            raised = LEAST + (1 - LEAST * len(each)) * each
            cells = [*(f"{p:.4f}" for p in raised), f"{answers.log10_lrs[row]:.2f}"]
        writer.writerow([name, *cells, ""])
    write_atomically(path, buffer.getvalue())


def read_report(path: Path, sources: Sequence[str], names: Sequence[str]) -> Answers:
    """Read a report on a case.

    Spreadsheets may have put semicolons or tabs between cells, and then commas into numbers. Rows may be in any order,
    other columns than those of `columns` are passed over, and so are empty rows.

    Args:
        path: of the file.
        sources: of the case.
        names: of its exhibits.

    Raises:
        UsageError: it cannot be read, lacks a column or an exhibit, has one twice or one that is none, or a cell is no
            number or out of range; it names file and row.
    """
    told = name_of(path)
    (head, *rows), comma = _cells(path)
    head = [cell.strip() for cell in head]
    wanted = columns(sources)[:-1]
    for cell in head:
        if cell.startswith("p(") and cell not in wanted:
            raise UsageError(f"{told}, row 1: {unknown('source', cell[:SHOWN], wanted[1:-1])}")
    for cell in wanted:
        if head.count(cell) != 1:
            raise UsageError(f"{told}, row 1: there must be one column {cell!r}, not {head.count(cell)}.")
    places = [head.index(cell) for cell in wanted]
    if rows and not any(cell.strip() for row in rows for place in places[1:] for cell in row[place : place + 1]):
        raise UsageError(f"{told} is not filled in yet: {len(names)} exhibits wait for their probabilities.")
    found: dict[str, list[float]] = {}
    for number, row in enumerate(rows, 2):
        cells = [row[place].strip() if place < len(row) else "" for place in places]
        if not any(cell.strip() for cell in row):
            continue
        try:
            name = cells[0]
            if name not in names:
                raise UsageError(f"the case has no exhibit {name[:SHOWN]!r}; it has {names[0]} to {names[-1]}.")
            if name in found:
                raise UsageError(f"{name} has a row already. Leave one of the two out.")
            found[name] = _values(wanted, cells, comma)
        except UsageError as error:
            raise UsageError(f"{told}, row {number}: {error}") from None
    if missing := [name for name in names if name not in found]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(f"{told} has no row for {missing[0]}{more}. An exhibit that you cannot judge is `unknown`.")
    table = np.array([found[name] for name in names])
    probabilities = table[:, :-1]
    return Answers(probabilities / probabilities.sum(1, keepdims=True), table[:, -1])


def exhibit_in(path: Path) -> str:
    """The first exhibit that a report names, to see which case it is on.

    Raises:
        UsageError: it cannot be read, or names none.
    """
    (head, *rows), _ = _cells(path)
    place = [cell.strip() for cell in head].index(EXHIBIT) if EXHIBIT in (cell.strip() for cell in head) else None
    for row in rows:
        if place is not None and place < len(row) and row[place].strip():
            return row[place].strip()
    raise UsageError(f"{name_of(path)} names no exhibit in a column {EXHIBIT!r}. Fill in the report.csv of the case.")


def _cells(path: Path) -> tuple[list[list[str]], bool]:
    """The rows of a CSV file, and whether numbers may have commas in them, since cells have something else between."""
    told = name_of(path)
    if not path.is_file():
        raise UsageError(f"There is no report {told}. Check the path.")
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise UsageError(f"{told} is larger than a report can be ({LARGEST:,} bytes). Name the filled-in report.csv.")
    try:
        text = data.decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=first.count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{told} is not a CSV file in UTF-8. Save it as one: `CSV UTF-8` in a spreadsheet.") from error
    if not rows:
        raise UsageError(f"{told} is empty. Fill in the report.csv of the case.")
    return rows, delimiter != ","


def _values(wanted: Sequence[str], cells: Sequence[str], comma: bool) -> list[float]:
    """The probabilities and the log10 LR of a row."""
    values = []
    for head, cell in zip(wanted[1:], cells[1:], strict=True):
        text = cell.replace("\N{MINUS SIGN}", "-")
        text = text.replace(",", ".") if comma else text
        if not cell:
            raise UsageError(f"{head} is empty. Give a number.")
        if not NUMBER.fullmatch(text):
            raise UsageError(f"{head} is {cell[:SHOWN]!r}, which is no number. Write it as 0.25.")
        values.append(float(text))
    *shares, ratio = values
    for head, share in zip(wanted[1:-1], shares, strict=True):
        if not 0 <= share <= 1:
            raise UsageError(f"{head} is {share:g}, and a probability is from 0 to 1. Write 25 % as 0.25.")
        if share < LEAST:
            raise UsageError(f"{head} is {share:g}. Nothing is impossible: give {LEAST} at least.")
    if abs(sum(shares) - 1) > ROUNDING:
        raise UsageError(f"the probabilities sum to {sum(shares):.3f}, not to 1. Mend one of them.")
    if abs(ratio) > FARTHEST:
        raise UsageError(
            f"{RATIO} is {ratio:g}; {-FARTHEST:g} to {FARTHEST:g} are allowed. A ratio of 1000 is written as 3."
        )
    return values
