"""`tianyu init`."""

from services.cli.console import friendly, out, start


@friendly
def init() -> None:
    """Make or upgrade the schema, and register site and groups. Safe to repeat.

    Example: `TIANYU_DATABASE_URL=mysql+pymysql://tianyu:…@db/tianyu tianyu init`
    """
    from services.setup import initialise, open_engine

    settings = start()
    for line in initialise(settings, open_engine(settings)):
        out.print(line, markup=False)
