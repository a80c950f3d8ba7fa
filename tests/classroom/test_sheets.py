"""What the sheets tell people to type exists."""

import re
import shlex

import click
import pytest

from fingerprintlib.classroom.case import SHEETS
from fingerprintlib.classroom.report import RATIO
from fingerprintlib.cli import main

TEXTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(SHEETS.iterdir())}


def commands(text):
    """What stands in code of its own and what stands in a sentence."""
    found = re.findall(r"^fingerprints .*$", text, re.MULTILINE) + re.findall(r"`(fingerprints [^`]*)`", text)
    return [shlex.split(line)[1:] for line in found]


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if "fingerprints " in text])
def test_every_command_on_a_sheet_can_be_typed(name):
    assert commands(TEXTS[name])
    for words in commands(TEXTS[name]):
        command = main
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words:
            assert not word.startswith("-") or word in known, (name, word)


def test_the_task_names_the_columns_that_are_to_be_filled_in():
    for column in ("p(real)", "p(unknown)", RATIO, "notes"):
        assert f"`{column}`" in TEXTS["case.md"]


def test_nothing_is_left_to_fill_in_but_facts_of_a_case():
    for name, text in TEXTS.items():
        assert "@@" not in text
        assert name in ("custody.md", "report.md") or "$" not in text
