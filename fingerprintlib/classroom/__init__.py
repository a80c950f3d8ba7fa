"""The teacher's kit: what a class does with the book.

A blind case: `case` writes exhibits and seals the `key`; an examiner, or `fingerprints attribute`, fills in a `report`;
`grading` opens the key and scores it. The swap: `swap` trains a small generator for each of a class.
"""
