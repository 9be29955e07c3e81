"""Real servers for the tests: ``python -m tests.servers up | down | env | status``.

`kinds` lists the servers, `ladder` the ways to one, `probe` asks whether one lets us in; `mariadb`, `mysql` and
`rabbitmq` start private ones as a `daemon`, from `debian` packages where needed; `containers` asks a container
engine; `env` remembers what was found.
"""
