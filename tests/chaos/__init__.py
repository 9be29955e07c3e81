"""Chaos: kill, cut, freeze and confuse a running system on purpose, then compare what it made with an undisturbed run.

`plan` says from a seed what happens when; `servers` are a database server and a broker of our own, reached by every
program through its own `proxy`; `system` runs the programs and starts again what died; `disturb` does one disturbance,
`messages` those of the queue; `campaign` brings them together, `embedded` does the same to `tianyu run`; `snapshot`
reads rows and files free of PIDs and times, `checks` says what is wrong with the end. ``python -m tests.chaos`` prints
figures (`make chaos`).
"""
