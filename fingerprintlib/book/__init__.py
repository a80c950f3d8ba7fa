"""The book as a program: chapters with their knobs, the engine that runs what has changed, the pages.

A text in ``book/`` -> `chapters` reads it -> `engine` runs it, where `page` records what it finds -> `staging` turns it
into HTML; `claims`, `sweeps` and `timings` sum up over chapters.
"""
