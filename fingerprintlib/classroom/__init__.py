"""The teacher's kit, ``make class``: what a teacher needs on Monday, and what a class does with the book.

`pages` reads the built pages -> `slides` makes a deck of each, `printing` one document of all; `lessons` fills the
plans in ``lessons/`` with the book's own figures, numbers and times; `kit` puts all of it into ``_build/class``.
A blind case: `case` writes exhibits and seals the `key`; an examiner, or `fingerprints attribute`, fills in a `report`;
`grading` opens the key and scores it. The swap: `swap` trains a small generator for each of a class.
"""
