"""`tianyu consumer`."""

from typing import Annotated

import typer

from services.cli.console import friendly, start
from services.stopping import on_stop


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
    from services.broker import open_broker
    from services.consumer.child import children
    from services.consumer.consumer import Consumer
    from services.setup import open_database, require_site

    settings = start()

    engine = open_database(settings)
    require_site(settings, engine)
    engine.dispose()
    open_broker(settings).close()
    with children(settings.deployment, concurrency) as workers:
        instance = Consumer(settings, group or [settings.default_group], workers)
        on_stop(instance.stop)
        instance.run()
