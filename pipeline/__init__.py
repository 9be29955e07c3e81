"""What is computed: numpy arrays in, numpy arrays out; knows no database, no broker and no path layout.

Pixel coordinates are 0-based with pixel centres at integers; x runs along the last axis: ``image[y, x]``.

SciPy takes a quarter of a second to import, as much as all else here: the functions that need it import it, so that a
program that only knows what there is to compute (a publisher, the command line) starts without it.
"""
