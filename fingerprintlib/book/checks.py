"""How an exercise asks, checks and helps: numbers of each student's own, and a hint more with every wrong answer.

Every student has a number, see `student`; an exercise says between which values its numbers are chosen, so that fifty
students have fifty variants, and a check knows its own. Student 0 gets the first value of each, which stand on the
book's pages. For the teacher, `Exercise.answers` lists what is right for whom.

An answer of ``...`` is not counted as one. While the book is built a wrong answer is an error, so that the solutions
printed there are right.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FingerprintsError, UsageError

if TYPE_CHECKING:
    from .page import Page

STUDENT = "FINGERPRINTS_STUDENT"  #: of the environment: the number of the student


def student(number: int | None = None) -> int:
    """The student whose variants this kernel asks for; with a `number`, it is that one from now on.

    Without one it is what the environment says (``FINGERPRINTS_STUDENT``), else 0. The book is built for student 0.

    Raises:
        UsageError: the number is no whole number from 0 on.
    """
    if number is not None:
        os.environ[STUDENT] = str(number)
    told = "0" if "FINGERPRINTS_BUILD" in os.environ else os.environ.get(STUDENT, "0")
    if not told.isdecimal():
        raise UsageError(f"A student's number is a whole number from 0 on, not {told!r}: set {STUDENT} to one.")
    return int(told)


@dataclass
class Exercise:
    """One exercise: call it with an answer, and with what the chapter has at hand.

    Attributes:
        right: from the student's numbers and the chapter's data to the right answer: a number, numbers, or a word.
        title: as on the page.
        hints: printed one after the other, the next with each wrong answer.
        draws: name of a number to its possible values, the first of them student 0's.
        tolerance: relative error that is let pass.
        within: absolute error that is let pass, in the answer's unit; predictions have one.
        tries: wrong answers so far, in this kernel.
    """

    right: Callable[..., Any]
    title: str
    hints: Sequence[str]
    draws: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tolerance: float = 5e-3
    within: float = 1e-9
    tries: int = 0

    def variant(self, number: int) -> dict[str, Any]:
        """The numbers of a student: as many students as there are combinations have each another."""
        total = math.prod(len(values) for values in self.draws.values())
        # A step without a common divisor meets every combination once; one near the golden section spreads them.
        step = next(some for some in range(max(1, round(0.618 * total)), 2 * total + 2) if math.gcd(some, total) == 1)
        place, found = number * step % total, {}
        for name, values in self.draws.items():
            place, digit = divmod(place, len(values))
            found[name] = values[digit]
        return found

    @property
    def given(self) -> dict[str, Any]:
        """The numbers of this kernel's `student`."""
        return self.variant(student())

    def tell(self, page: "Page") -> None:
        """Record the student's numbers for the text: ``page["NAME_NUMBER"]``, NAME that of this exercise."""
        for name, value in self.given.items():
            page.metric(f"{self.right.__name__}_{name}", value)

    def answers(self, students: Iterable[int], **data: Any) -> list[dict[str, Any]]:
        """For the teacher: a row for each student, with their numbers and what is right (see `tables.markdown`)."""
        rows = []
        for number in students:
            given = self.variant(number)
            rows.append({"student": number, **given, "answer": self._answer(self.right(**given, **data))})
        return rows

    def __call__(self, answer: Any, **data: Any) -> None:
        """Check an answer and print what was found: how far off it is, and the next hint.

        Raises:
            FingerprintsError: the answer is wrong while the book is built.
        """
        name = self.title.rstrip("?")  # a colon follows
        if answer is ...:
            print(f"{name}: replace the ... by your answer, then run this cell again.")
            return
        outcome = self.right(**self.given, **data)
        right, told = self._compare(answer, outcome)
        if not right and "FINGERPRINTS_BUILD" in os.environ:
            expected = self._answer(outcome)
            raise FingerprintsError(f"{name}: the printed solution gives {answer!r}, not {expected!r}. {told}")
        if right:
            self.tries = 0
            print(f"{told}\n{name}: right." if told else f"{name}: right.")
            return
        hint = min(self.tries, len(self.hints) - 1)
        self.tries += 1
        print(f"{name}: not yet. {told} Hint {hint + 1} of {len(self.hints)}: {self.hints[hint]}")

    def _answer(self, outcome: Any) -> Any:
        return outcome

    def _compare(self, answer: Any, outcome: Any) -> tuple[bool, str]:
        """Whether an answer is right, and how far off it is."""
        if isinstance(outcome, str):
            return isinstance(answer, str) and answer == outcome, "" if isinstance(answer, str) else "Give a word."
        expected = np.asarray(outcome, float)
        given = _numbers(answer)
        if given is None or given.shape != expected.shape or not np.isfinite(given).all():
            return False, f"Give {expected.size} numbers." if expected.ndim else "Give a number."
        near = np.isclose(given, expected, rtol=self.tolerance, atol=self.within)
        if expected.ndim:
            return bool(near.all()), "" if near.all() else f"{near.sum()} of {near.size} are right."
        if near:
            return True, f"Your prediction: {given:.4g}. The run: {expected:.4g}." if max(
                self.within, self.tolerance
            ) > 0.1 else ""
        return False, _how_far(float(given), float(expected))


@dataclass
class Choice(Exercise):
    """An exercise that asks for the best of several candidates: `right` gives the value of each, higher is better.

    A candidate is a whole number, a word, or a pair of whole numbers in any order; those within `slack` of the best
    are right as well.
    """

    slack: float = 1e-9

    def _answer(self, outcome: Any) -> Any:
        return max(outcome, key=outcome.get)

    def _compare(self, answer: Any, outcome: Any) -> tuple[bool, str]:
        some, numbers = answer, _numbers(answer)
        if numbers is not None and numbers.ndim <= 1 and np.all(numbers == np.round(numbers)):
            some = tuple(sorted(map(int, numbers))) if numbers.ndim else int(numbers)
        if not isinstance(some, int | str | tuple) or some not in outcome:
            return False, f"That is none of the {len(outcome)} candidates."
        better = sum(value > outcome[some] + self.slack for value in outcome.values())
        return not better, f"{better} of the {len(outcome)} candidates are better." if better else ""


@dataclass
class Design(Exercise):
    """An exercise that asks for a thing of one's own: `right` gives what scores it, and the score that it must reach.

    What cannot be scored raises a TypeError or a ValueError that says why.
    """

    def _answer(self, outcome: Any) -> Any:
        return f"a score of {outcome[1]:.4g} or more"

    def _compare(self, answer: Any, outcome: Any) -> tuple[bool, str]:
        score, needed = outcome
        try:
            reached = float(score(answer))
        except (TypeError, ValueError) as error:
            return False, f"That cannot be scored: {error}."
        return reached >= needed - 1e-9, f"Your score is {reached:.4g}; {needed:.4g} is needed."


def exercise(title: str, *hints: str, tolerance: float = 5e-3, **draws: Sequence[Any]) -> Callable[..., Exercise]:
    """Decorate what works out the right answer; `draws` are the possible values of its numbers, see `Exercise`."""
    return lambda right: Exercise(right, title, hints, draws, tolerance)


def prediction(
    title: str, *hints: str, within: float = 10, tolerance: float = 0, **draws: Sequence[Any]
) -> Callable[..., Exercise]:
    """Decorate what works out the outcome of a run, which is to be predicted to `within` its unit, mostly points."""
    return lambda right: Exercise(right, title, hints, draws, tolerance, within)


def choice(title: str, *hints: str, slack: float = 1e-9, **draws: Sequence[Any]) -> Callable[..., Choice]:
    """Decorate what gives the value of each candidate, see `Choice`."""
    return lambda right: Choice(right, title, hints, draws, slack=slack)


def design(title: str, *hints: str, **draws: Sequence[Any]) -> Callable[..., Design]:
    """Decorate what gives a score and the least that is needed, see `Design`."""
    return lambda right: Design(right, title, hints, draws)


def _numbers(answer: Any) -> Any:
    """As an array of float64; None if it is none: a word, or lists of unequal length."""
    if isinstance(answer, str) or answer is None:
        return None
    try:
        return np.asarray(answer.detach().cpu() if hasattr(answer, "detach") else answer, float)
    except (TypeError, ValueError):
        return None


def _how_far(given: float, expected: float) -> str:
    """In one figure, so that it helps and gives nothing away."""
    direction = "Too high" if given > expected else "Too low"
    return f"{direction}, by about {float(f'{abs(given - expected):.1g}'):g}."
