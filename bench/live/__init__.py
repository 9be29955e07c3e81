"""Whether a live night is kept up with: ``python -m bench.live``, or ``make bench-live ARGS="--rate 20"``.

`night` simulates a sky that is known from another night, `camera` puts its frames into a folder at their times,
`observer` looks when each is in the light curves, and `__main__` is the order of things and the table.
"""
