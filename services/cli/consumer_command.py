"""`tianyu consumer`."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import friendly, start
from services.engine.stopping import on_stop
from services.errors import ConfigurationError

if TYPE_CHECKING:
    from services.settings import Settings


@friendly
def consumer(
    group: Annotated[
        list[str] | None, typer.Option(help="Group to work for; may be repeated. Default: the setting default_group.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Processes to run at a time.")] = 1,
) -> None:
    """Run processes of a group until stopped; SIGTERM finishes the current one and leaves.

    The group of a telescope has one consumer, of one worker: it takes one exposure after the other.

    Examples: `tianyu consumer`, `tianyu consumer --group cpu --group memory --concurrency 4`,
    `tianyu consumer --group telescope`
    """
    from services.engine.consumer.child import children
    from services.engine.consumer.consumer import Consumer
    from services.engine.tracing.traced import attempts_traced
    from services.setup import open_database, require_site

    settings = start()
    groups = group or [settings.default_group]
    require_telescope(settings, groups, concurrency)

    engine = open_database(settings)
    require_site(settings, engine)
    engine.dispose()
    stop = threading.Event()
    on_stop(stop.set)
    with children(settings.deployment, concurrency) as workers:
        if settings.metrics_listen is None:
            with attempts_traced(settings) as note_end:
                Consumer(settings, groups, workers, stop, note_end).run()
            return
        from services.operating.metrics.consumer_metrics import ConsumerMetrics
        from services.operating.metrics.endpoint import answering

        metrics = ConsumerMetrics(settings.deployment, concurrency)
        with (
            answering(settings.metrics_listen, metrics.registry),
            attempts_traced(settings, metrics.note_end) as note_end,
        ):
            working = Consumer(settings, groups, workers, stop, note_end)
            metrics.watch(working)
            working.run()


def require_telescope(settings: Settings, groups: list[str], concurrency: int) -> None:
    """Refuse to begin with exposures that could only fail, or be taken two at a time.

    Raises:
        ConfigurationError: the group takes exposures, and there is no telescope, no client, or more than one worker.
    """
    if settings.telescope_group not in groups:
        return
    name = f"group {settings.telescope_group!r} takes exposures"
    if settings.telescope is None:
        raise ConfigurationError(f"{name}: name the devices of the telescope under [telescope] of the settings")
    if concurrency > 1:
        raise ConfigurationError(f"{name}, one at a time: leave out --concurrency, and start one consumer for it")
    if find_spec("alpaca") is None:
        raise ConfigurationError(
            f"{name}: their client is not installed, pip install 'tianyu[telescope]' on this machine"
        )
