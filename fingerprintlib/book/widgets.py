"""What pieces and pages of HTML share: all is inside, so they work from a folder, without a network."""

import base64
import html
import json
from string import Template
from typing import Any

from ..provenance import content_hash

#: A frame around a widget; its class is `fp-widget`.
FRAME = ".fp-widget { border: 1px solid #8888; border-radius: 4px; padding: .8rem; max-width: 44rem; }"


#: A page of its own; what is in the class `scroll` may be wider than a phone.
_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font-family: system-ui, sans-serif; max-width: 46rem; margin: 1rem auto; padding: 0 1rem; line-height: 1.5;
  color: #1b1b1b; background: white; }
p, li, h1 { overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2rem; }
.lead { font-size: 1.15rem; }
.wary { border-left: .3rem solid #b35806; padding: .1rem 0 .1rem 1rem; background: #b3580611; }
.scroll { overflow-x: auto; }
.scroll img { display: block; width: 100%; min-width: 34rem; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: bottom; border-bottom: 1px solid #8884; }
small { color: #555; }
</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def standing_alone(title: str, body: str) -> str:
    """A page of a title, plain text, and of HTML."""
    return _PAGE.substitute(title=html.escape(title), body=body)


def data_url(data: bytes, suffix: str = ".png") -> str:
    """A picture (PNG or WebP) as an address that holds it."""
    return f"data:image/{suffix.removeprefix('.')};base64,{base64.b64encode(data).decode()}"


def script_data(value: Any) -> str:
    """A JSON-able value as JavaScript; no text in it can end the script."""
    return json.dumps(value).replace("</", "<\\/")


def widget_id(kind: str, content: str) -> str:
    """An id that two widgets on a page do not share, and that the same content gets again."""
    return f"fp-{kind}-{content_hash(content.encode())[:8]}"
