"""The book as a program: chapters with their knobs, the engine that runs what has changed, the pages.

A text in ``book/`` -> `chapters` reads it -> `engine` runs it, where `page` records what it finds -> `staging` turns it
into HTML; `claims`, `sweeps` and `timings` sum up over chapters.
"""

import sys

# For jsonschema, which comes with notebooks: setting up its grammar of web addresses takes a second, whenever a chapter
# starts, and nothing here is checked for one. Told that the package is not there, it does without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
