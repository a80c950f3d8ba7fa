"""Numbers and how sure they are: accuracy with its interval, distances between sets, verification.

How far an answer is to be believed, too: likelihood ratios, calibrated probabilities, the rejection of the unknown.

Arrays come in (labels, predictions, scores, features), numbers with intervals go out. No image and no network is known
here, so every other room may use it.
"""
