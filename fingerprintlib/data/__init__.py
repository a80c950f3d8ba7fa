"""Real images and whatever is made of images: photographs, splits, corpora, and other ways to look at a corpus.

Photographs -> `datasets` deal them to disjoint splits -> `building` writes images of several sources to disk -> a
`corpus`, labelled -> `views` look at some of it, or at it changed. `images` is the one way in and out of pixels. What a
reader brings `files` finds and reads, and `duplicates` tells which of it shows the same photograph.
"""
