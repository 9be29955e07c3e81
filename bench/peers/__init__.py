"""Time of Tianyu beside that of QLCP, eloy and SExtractor, of the same light curves: `make bench-peers`.

`scope` says what all of them are asked for, `*_way` is how each does it (a program of its own, in an environment
without Tianyu), `timing` runs programs and counts their seconds, and `__main__` is the order of things and the tables.
"""
