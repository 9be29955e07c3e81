"""`tianyu manager`."""

import threading

from services.cli.console import friendly, start
from services.engine.stopping import on_stop


@friendly
def manager() -> None:
    """Put each process whose dependencies are done into the queue of its site and group, until stopped.

    Any number may run: one is active, the others stand by.

    Example: `tianyu manager`
    """
    from services.engine.manager.manager import Manager
    from services.setup import open_database

    settings = start()

    open_database(settings).dispose()
    stop = threading.Event()
    on_stop(stop.set)
    active = Manager(settings, stop)
    if settings.metrics_listen is None:
        active.run()
        return
    from services.operating.metrics.endpoint import answering
    from services.operating.metrics.manager_metrics import manager_registry

    with answering(settings.metrics_listen, manager_registry(settings, active)):
        active.run()
