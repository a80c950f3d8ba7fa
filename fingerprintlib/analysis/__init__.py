"""What a fingerprint is and is not: uniqueness, frequencies, patches, splices, near images, confounds.

Corpora, attributors and generators come in; parts of images, maps and pairs go out, for `statistics` to count and
`plots` to draw.
"""
