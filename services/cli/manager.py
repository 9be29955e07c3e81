"""`tianyu manager`."""

from services.cli.console import friendly, start
from services.stopping import on_stop


@friendly
def manager() -> None:
    """Put each process whose dependencies are done into the queue of its site and group, until stopped.

    Any number may run: one is active, the others stand by.

    Example: `tianyu manager`
    """
    from services.broker import open_broker
    from services.manager.manager import Manager
    from services.setup import open_database

    settings = start()

    open_database(settings).dispose()
    # Once it runs it waits for a broker that is away; at the start a wrong URL should not be waited for.
    open_broker(settings).close()
    instance = Manager(settings)
    on_stop(instance.stop)
    instance.run()
