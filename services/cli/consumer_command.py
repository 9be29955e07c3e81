"""`tianyu consumer`."""

import threading
from typing import Annotated

import typer

from services.cli.console import friendly, start
from services.engine.stopping import on_stop


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
    from services.engine.consumer.child import children
    from services.engine.consumer.consumer import Consumer
    from services.setup import open_database, require_site

    settings = start()

    engine = open_database(settings)
    require_site(settings, engine)
    engine.dispose()
    stop = threading.Event()
    on_stop(stop.set)
    with children(settings.deployment, concurrency) as workers:
        groups = group or [settings.default_group]
        if settings.metrics_listen is None:
            Consumer(settings, groups, workers, stop).run()
            return
        from services.operating.metrics.consumer_metrics import ConsumerMetrics
        from services.operating.metrics.endpoint import answering

        metrics = ConsumerMetrics(settings.deployment, concurrency)
        working = Consumer(settings, groups, workers, stop, metrics.note_end)
        metrics.watch(working)
        with answering(settings.metrics_listen, metrics.registry):
            working.run()
