import base64
import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from fingerprintlib.book.player import pick, player
from fingerprintlib.data.decoding import decode
from fingerprintlib.errors import UsageError

RANDOM = np.random.default_rng(0)
IMAGES, MARKS = RANDOM.integers(0, 256, (2, 3, 16, 16, 3), np.uint8)
RESPONSES = np.array([[0.5, -0.25, 0.125], [0.1, 0.2, 0.3], [0.0, 0.0, -1.0]])
NAMES = ("real", "pro & co", "</script>")


class Parsed(HTMLParser):
    """What a browser would find: elements with their attributes, and the script."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.script, self.stack = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("img",):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.script += data


@pytest.fixture
def parsed():
    return Parsed(player(IMAGES, MARKS, RESPONSES, [0, 0, 1], NAMES, seconds=2))


@pytest.fixture
def data(parsed):
    return json.loads(re.search(r"const data = (.*);\n", parsed.script)[1].replace("<\\/", "</"))


def test_it_is_whole_and_asks_nobody(parsed):
    assert parsed.stack == []  # a source called </script> has not ended it
    text = re.sub("[A-Za-z0-9+/=]{40,}", "", player(IMAGES, MARKS, RESPONSES, [0, 0, 1], NAMES))  # without the pictures
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    (image,) = [attributes for tag, attributes in parsed.elements if tag == "img"]
    assert image["src"].startswith("data:image/png;base64,")
    assert len(image["alt"]) > 15
    buttons = [attributes["class"] for tag, attributes in parsed.elements if tag == "button"]
    assert buttons == ["fp-previous", "fp-play", "fp-next"]
    assert "prefers-reduced-motion: reduce" in parsed.script


def test_frames_hold_the_pixels_and_the_verdicts(data):
    assert data["names"] == list(NAMES)
    assert data["milliseconds"] == 2000
    for frame, image, mark, responses in zip(data["frames"], IMAGES, MARKS, RESPONSES, strict=True):
        shown = decode(base64.b64decode(frame["image"].partition(",")[2]))
        np.testing.assert_array_equal(shown[:, :16], image)
        np.testing.assert_array_equal(shown[:, -16:], mark)
        assert frame["responses"] == responses.tolist()
    assert [frame["named"] for frame in data["frames"]] == [0, 2, 0]
    assert [frame["verdict"][0] for frame in data["frames"]] == ["✓", "✗", "✗"]
    assert "taken for </script>, but it is of real" in data["frames"][1]["verdict"]
    assert "pro & co -0.25" in data["frames"][0]["alt"]


def test_two_on_a_page_do_not_meddle():
    first, second = (player(IMAGES, MARKS, RESPONSES, labels, NAMES) for labels in ([0, 0, 1], [1, 0, 1]))
    assert re.search(r'id="(.+?)"', first)[1] != re.search(r'id="(.+?)"', second)[1]
    assert first == player(IMAGES, MARKS, RESPONSES, [0, 0, 1], NAMES)


@pytest.mark.parametrize("count", [0, 2])
def test_what_does_not_fit_together_is_refused(count):
    with pytest.raises(UsageError, match="must be as many, at least one, not"):
        player(IMAGES[:count], MARKS, RESPONSES, [0, 0, 1], NAMES)


def test_a_live_picker_is_for_the_lab_only(monkeypatch):
    drawn, shown = [], []
    monkeypatch.setattr("IPython.display.display", lambda *some, **options: shown.extend(some))
    monkeypatch.setenv("FINGERPRINTS_BUILD", "somewhere")
    pick(3, lambda number: drawn.append(number))
    assert shown == drawn == []
    monkeypatch.delenv("FINGERPRINTS_BUILD")
    pick(3, lambda number: drawn.append(number))
    (widget,) = shown
    slider = widget.children[0]
    assert (slider.min, slider.max) == (0, 2)
    slider.value = 2
    assert drawn[-1] == 2
    assert "ipywidgets" in sys.modules
