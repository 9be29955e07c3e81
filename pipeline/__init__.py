"""What is computed: numpy arrays in, numpy arrays out; knows no database, no broker and no path layout.

Pixel coordinates are 0-based with pixel centres at integers; x runs along the last axis: ``image[y, x]``.
"""
