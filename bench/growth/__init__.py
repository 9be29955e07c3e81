"""How cost grows: with frames, stars, waiting processes and rows in the database: `make bench-growth`.

`series` measures CPU seconds of one process at growing sizes, `exponent` fits them, `figure` is the plot, and
`__main__` the order of things and the tables.
"""
