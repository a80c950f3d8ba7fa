"""A reader's own images: files become verdicts, and folders become attributors.

`judging` says of an image which source it is from, how surely, or that it is from none of those known. What it needs
comes from `data`, `attribution`, `attacks` and `statistics`; the commands and the chapters on the open world use it.
"""
