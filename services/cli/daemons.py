"""`tianyu manager` and `tianyu consumer`: programs that run until they are stopped."""

from typing import Annotated

import typer

from services.cli.console import friendly, start
from services.stopping import on_stop


@friendly
def manager() -> None:
    """Put each process whose dependencies are done into the queue of its site and group, until stopped.

    Any number may run: one is active, the others stand by.

    Example: `tianyu manager`
    """
    settings = start()
    from services.broker import open_broker
    from services.manager.manager import Manager
    from services.setup import open_database

    open_database(settings).dispose()
    # Once it runs it waits for a broker that is away; at the start a wrong URL should not be waited for.
    open_broker(settings).close()
    instance = Manager(settings)
    on_stop(instance.stop)
    instance.run()


@friendly
def consumer(
    group: Annotated[
        list[str] | None, typer.Option(help="Group to work for; may be repeated. Default: the setting default_group.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Processes to run at a time.")] = 1,
) -> None:
    """Run processes of a group until stopped; SIGTERM finishes the current one and leaves.

    Examples: `tianyu consumer`, `tianyu consumer --group cpu --group memory --concurrency 4`
    """
    settings = start()
    from services.broker import open_broker
    from services.consumer.child import children
    from services.consumer.consumer import Consumer
    from services.setup import open_database, require_site

    engine = open_database(settings)
    require_site(settings, engine)
    engine.dispose()
    open_broker(settings).close()
    with children(settings.deployment, concurrency) as workers:
        instance = Consumer(settings, group or [settings.default_group], workers)
        on_stop(instance.stop)
        instance.run()
