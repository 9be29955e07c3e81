"""`tianyu manager`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from services.cli.console import friendly, start
from services.engine.stopping import on_stop

if TYPE_CHECKING:
    from services.engine.manager.manager import Manager
    from services.settings import Settings


@friendly
def manager() -> None:
    """Put each process whose dependencies are done into the queue of its site and group, until stopped.

    Any number may run: one is active, the others stand by.

    Example: `tianyu manager`
    """
    from services.engine.manager.manager import Manager
    from services.operating.housekeeping.retention_keeper import keeping
    from services.setup import open_database

    settings = start()

    open_database(settings).dispose()
    stop = threading.Event()
    on_stop(stop.set)
    active = Manager(settings, stop)
    with keeping(settings, lambda: active.is_active):
        _run(settings, active)


def _run(settings: Settings, active: Manager) -> None:
    if settings.metrics_listen is None:
        active.run()
        return
    from services.operating.metrics.endpoint import answering
    from services.operating.metrics.manager_metrics import manager_registry

    with answering(settings.metrics_listen, manager_registry(settings, active)):
        active.run()
