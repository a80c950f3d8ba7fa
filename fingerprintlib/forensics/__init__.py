"""A reader's own images: files become verdicts, and folders become attributors.

`judging` says of an image which source it is from, how surely, or that it is from none of those known; `calibrating`
has measured what that is worth, and `wording` tells it. For sources of one's own: `reading` reads folders, `pictures`
deals what was read to splits, `findings` says what to beware of (all together: `sources`), `learning` makes an
attributor of it, and `examining` says what that is worth.
"""
