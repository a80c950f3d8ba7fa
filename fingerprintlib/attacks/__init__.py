"""What may happen to an image before it is attributed, and how to get used to it.

`distortions` and `relighting` change pixels, `perturbations` draws how strongly, image by image; `adversarial` asks the
network itself; `removal` takes a fingerprint out or puts one in; `immunization` finetunes an attributor on what was
attacked.
"""
