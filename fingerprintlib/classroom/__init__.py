"""The teacher's kit, ``make class``: what a teacher needs on Monday, made from the built book.

`pages` reads the built pages -> `slides` makes a deck of each, `printing` one document of all; `lessons` fills the
plans in ``lessons/`` with the book's own figures, numbers and times; `kit` puts all of it into ``_build/class``.
"""
