"""Our networks against the official code's outputs, on weights that anyone can rebuild from a salt.

`data` reads a folder of manifests and golden outputs, `cases` run our modules on it, `compare` judges the deviations.
"""
