"""What pieces of HTML with a script in them share: all is inside, so they work from a folder, without a network."""

import base64
import json
from typing import Any

from ..provenance import content_hash

#: A frame around a widget; its class is `fp-widget`.
FRAME = ".fp-widget { border: 1px solid #8888; border-radius: 4px; padding: .8rem; max-width: 44rem; }"


def data_url(data: bytes, suffix: str = ".png") -> str:
    """A picture (PNG or WebP) as an address that holds it."""
    return f"data:image/{suffix.removeprefix('.')};base64,{base64.b64encode(data).decode()}"


def script_data(value: Any) -> str:
    """A JSON-able value as JavaScript; no text in it can end the script."""
    return json.dumps(value).replace("</", "<\\/")


def widget_id(kind: str, content: str) -> str:
    """An id that two widgets on a page do not share, and that the same content gets again."""
    return f"fp-{kind}-{content_hash(content.encode())[:8]}"
