"""What a verdict says, in words for people who were not there when it was calibrated."""

from ..statistics.intervals import Interval
from .calibrating import REAL
from .judging import GENERATED, UNKNOWN, Verdict

SAMPLED = 64  # squares: so many are looked at of a large image, spread over it, and no more


def origin_in_words(verdict: Verdict, bounds: Interval | None) -> str:
    """``generated: at least 790 times likelier generated than a photograph``; of what bears no ratio, why.

    Args:
        bounds: of the evidence, see `Calibration`: what reaches them is told as *at least*.
    """
    if verdict.answer == UNKNOWN:
        return "undecided: neither evidence for a fake nor for a photograph"
    if verdict.shrunk_from:
        return "undecided: shrinking takes fingerprints away"
    if verdict.evidence is None:
        return verdict.origin
    generated = verdict.evidence > 0
    times = 10 ** abs(verdict.evidence)
    if times < 2:
        return f"{verdict.origin}: about as likely generated as a photograph"
    digits = 10 ** max(0, len(str(int(times))) - 2)  # two, rounded down
    least = "at least" if bounds and verdict.evidence in bounds else "about"
    sides = "generated than a photograph" if generated else "a photograph than generated"
    return f"{verdict.origin}: {least} {int(times) // digits * digits:,} times likelier {sides}"


def squares_in_words(verdict: Verdict) -> str:
    """``squares: 4 real, 4 progan``, the most common first; empty where there are none."""
    if not verdict.squares:
        return ""
    some = {name: count for name, count in verdict.squares.items() if count}
    told = ", ".join(f"{some[name]} {name}" for name in sorted(some, key=lambda name: -some[name]))
    total = sum(some.values())
    parts = any(name not in (REAL, UNKNOWN, verdict.answer) for name in some) and verdict.origin != GENERATED
    hint = "; parts may be generated: crop them out and ask again" if parts else ""
    return f"{f'{total} sampled squares' if total >= SAMPLED else 'squares'}: {told}{hint}"


def handling_in_words(verdict: Verdict) -> str:
    """``handled, progan has 34% to 100%``; empty where harmless changes leave the likeliest source."""
    if verdict.agreeing == 1 or verdict.answer == UNKNOWN:
        return ""
    low, high = verdict.spread
    return f"handled, {verdict.likeliest} has {low:.0%} to {high:.0%}"
