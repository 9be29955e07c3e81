"""One night by one to five consumers, through MariaDB and RabbitMQ: `make bench-consumers`.

`servers` starts both for the bench alone, `night_run` makes the night by so many consumers and reads what its processes
took, `cores` is where the machine's time went meanwhile and what that limits, `figure` the plot, and `__main__` the
order of things and the tables.
"""
