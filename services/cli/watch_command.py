"""`tianyu watch`: light curves of the night that is being observed."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.console import JsonOption, friendly, note, start
from services.cli.given_names import (
    FilterOption,
    InstrumentOption,
    LogOption,
    ObjectOption,
    PatternOption,
    how_to_read,
    log_of,
)
from services.cli.master_options import (
    AltBias,
    AltDark,
    AltFlat,
    UseBias,
    UseDark,
    UseFlat,
    Without,
    with_masters,
)
from services.cli.star_options import CatalogOption, PointingOption
from services.errors import ConfigurationError
from services.operating.live.rhythm import FIRST_FRAMES, Rhythm
from services.results.positions import pointing

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from services.cli.summary_lines import Result
    from services.ingest.arrivals import Arrivals
    from services.settings import Settings

MINUTE_S = 60.0


@friendly
def watch(
    raw_dir: Annotated[Path, typer.Argument(help="Folder into which the frames come, with its subfolders.")],
    workdir: Annotated[Path, typer.Option(help="Where database, images and logs go.")] = Path("tianyu-work"),
    consumers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes at a time. Default: one a core, at most 4.")
    ] = None,
    publish_only: Annotated[
        bool, typer.Option("--publish-only", help="Manager and consumers run elsewhere, on the settings' database.")
    ] = False,
    first: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Frames of the first template of a new sky.")
    ] = FIRST_FRAMES,
    idle_minutes: Annotated[
        float | None, typer.Option(min=0.0, metavar="M", help="The night is over when nothing came for so long.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="The night is over then: `05:30` or `2026-11-21T05:30`, UTC.")
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="SIGTERM and Ctrl-C end the night too: the second one leaves at once.")
    ] = False,
    radec: PointingOption = None,
    catalog: CatalogOption = None,
    without: Without = None,
    use_bias: UseBias = None,
    use_dark: UseDark = None,
    use_flat: UseFlat = None,
    alt_bias: AltBias = None,
    alt_dark: AltDark = None,
    alt_flat: AltFlat = None,
    object_name: ObjectOption = None,
    filter_name: FilterOption = None,
    instrument: InstrumentOption = None,
    pattern: PatternOption = None,
    observing_log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make light curves of a night while its frames arrive: they grow with each frame.

    A frame is taken when it is whole and nobody writes to it any more. On a sky that is known from another night it is
    measured at once; of a new sky a first template is made of `--first` frames, and better ones when they have
    doubled. When the night is over it is published whole: its light curves are those of a night that was
    published at once. Stopped and started again it misses no frame and takes none twice.

    Examples: `tianyu watch ~/tonight`, `tianyu watch ~/tonight --until 05:30`,
    `tianyu watch /data/incoming --publish-only --idle-minutes 45`
    """
    rhythm = Rhythm(
        first=first,
        idle_s=None if idle_minutes is None else idle_minutes * MINUTE_S,
        until=None if until is None else unix_time(until, datetime.now(UTC)),
        finish=finish,
    )
    sky = pointing(radec, catalog)
    from services.engine.embedded import DATABASE_FILE, embedded_settings, process_tree, start_faster

    start_faster()
    from services.ingest.arrivals import Arrivals
    from services.ingest.file_names import find_frames
    from services.ingest.given import Given
    from services.ingest.raw_folder import FrameReader

    log_told = log_of(observing_log)
    given_masters = {"use_bias": use_bias, "use_dark": use_dark, "use_flat": use_flat}
    given_masters |= {"alt_bias": alt_bias, "alt_dark": alt_dark, "alt_flat": alt_flat}
    find_frames(raw_dir, tell=False)  # a folder that cannot be read is told before anything is made

    def arrivals(settings: Settings) -> Arrivals:
        given = Given(object_name, filter_name, instrument)
        reading = how_to_read(settings.reading, pattern)
        return Arrivals(raw_dir, FrameReader(settings.frame_bounds, given, reading, log_told))

    if publish_only:
        from services.setup import open_database, require_site

        settings = with_masters(start(**sky), without, **given_masters)
        engine = open_database(settings)
        require_site(settings, engine)
        results, database_file = _follow(engine, settings, arrivals(settings), rhythm), None
    else:
        from services import log

        settings = with_masters(embedded_settings(workdir, **sky), without, **given_masters)
        log.configure(settings.log_format, "WARNING")
        with process_tree(settings, consumers) as tree:
            results = _follow(tree.engine, settings, arrivals(settings), rhythm, tree.look_after)
        database_file = settings.root / DATABASE_FILE
    from services.cli.summary_lines import tell_results

    tell_results(results, database_file, as_json=as_json)


def _follow(
    engine: Engine,
    settings: Settings,
    arrivals: Arrivals,
    rhythm: Rhythm,
    look_after: Callable[[], None] = lambda: None,
) -> list[Result]:
    from services.cli.summary_lines import results_of
    from services.engine.forked import keep_what_is_imported
    from services.engine.stopping import on_stop
    from services.operating.live.watching import Watch

    keep_what_is_imported()
    began = time.monotonic()
    watching = Watch(engine, settings, arrivals, rhythm, note, look_after)
    on_stop(watching.stop)
    note("watching; Ctrl-C leaves")
    observations = watching.run()
    results = results_of(engine, observations)
    left = "" if observations else "; the same command goes on from here"
    note(f"watched for {time.monotonic() - began:.0f} s{left}")
    return results


def unix_time(text: str, now: datetime) -> float:
    """Unix time of ``05:30`` (the next one) or of an ISO 8601 time; without a zone it is UTC.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", text, re.ASCII):
            hour, minute = map(int, text.split(":"))
            found = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return (found if found > now else found + timedelta(days=1)).timestamp()
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"--until {text!r} is no time: expected 05:30 or 2026-11-21T05:30 (UTC)") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
