"""`tianyu doctor`: look at settings, database, broker, disk and services; say what is wrong and what to do."""

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text
from sqlalchemy.exc import DBAPIError

from schema import database, models, partitions, versions, views
from schema.partitions import Partitions
from schema.processes import ProcessGroup, Site
from schema.versions import SchemaVersionError
from services import disk
from services.engine.broker import (
    PROBE,
    Broker,
    dead_letter_queue,
    event_queue,
    is_process_table,
    open_broker,
    work_queue,
)
from services.errors import TianyuError
from services.operating.database_checks import ask_database
from services.operating.finding import Finding
from services.operating.host_checks import look_at_host
from services.operating.status import LiveService, QueueStatus, overview
from services.operating.status.fleet import active_managers, standby_managers
from services.operating.status.stuck import (
    NO_ACTIVE_MANAGER,
    SILENCE_REMEDY,
    consumer_remedy,
    dead_letters,
    dead_letters_remedy,
    manager_remedy,
    resume_remedy,
)
from services.settings import Settings
from services.setup import database_failure, open_engine
from services.sky.catalogue.opening import catalogue_folder, open_cells
from services.sky.solving.index_files import USUAL_FOLDERS, find_index_files
from services.sky.solving.index_solver import PACKAGE, installed
from services.sky.solving.solvers import INSTALL_FILES, INSTALL_PACKAGE
from services.telescope.looking import look_at

FREE_BYTES_LEAST = 10_000_000_000  # half a night of a 2048 x 2048 camera with all its intermediate images
CONFIRM_S = 5.0  # that the broker may take to take a message
TELESCOPE_REMEDY = "start its Alpaca server, or correct [telescope] of the settings"
CELLS_COUNTED = 1000  # of the catalogue's cache: 0.3 s; the whole sky has 49152


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; one failure does not hide the others."""
    findings = [Finding("settings", f"site {settings.site!r}, groups {', '.join(settings.all_groups())}")]
    findings += look_at_host(settings)
    findings += _root(settings.root.absolute(), settings.min_free_bytes)
    try:
        engine = open_engine(settings)
    except TianyuError as error:
        findings.append(Finding("database", str(error), "correct TIANYU_DATABASE_URL"))
    else:
        findings += _database(settings, engine)
        engine.dispose()
    findings += _broker(settings)
    findings += _sky(settings)
    if settings.telescope is not None:
        seen = look_at(settings.telescope)
        findings += [Finding("telescope", found or wrong, wrong and TELESCOPE_REMEDY) for found, wrong in seen]
    return findings


def _sky(settings: Settings) -> Iterator[Finding]:
    """What fields are solved and stars are named with. Nothing is asked over the network, which may be slow to fail.

    To have none of it is a choice: light curves stay in pixels. What was set or installed in vain is wrong.
    """
    files, library = find_index_files(settings.index_dir), installed()
    if files:
        folders = ", ".join(sorted({str(file.path.parent) for file in files}))
        smallest, largest = files[0].smallest_deg, max(file.largest_deg for file in files)
        found = f"{len(files)} index files in {folders}, patterns of {60 * smallest:.1f} to {60 * largest:.0f} arcmin"
        remedy = "" if library else INSTALL_PACKAGE
    else:
        found = f"no index files in {settings.index_dir or ', '.join(USUAL_FOLDERS)}"
        remedy = "" if settings.index_dir is None else "correct TIANYU_INDEX_DIR, or put index files there"
    found += f"; package {PACKAGE} is {'' if library else 'not '}installed"
    if not (files and library):
        by_catalogue = settings.catalog != "none" or settings.catalog_file is not None
        found += (
            "; fields are solved by the catalogue, if it is known where they are"
            if by_catalogue
            else f"; without a catalogue no field is solved, and light curves stay in pixels: {INSTALL_FILES}"
        )
    yield Finding("plate solving", found, remedy)
    yield _catalogue(settings)


def _catalogue(settings: Settings) -> Finding:
    if settings.catalog_file is not None:
        readable = os.access(settings.catalog_file, os.R_OK) and settings.catalog_file.is_file()
        remedy = "" if readable else "correct TIANYU_CATALOG_FILE"
        words = "" if readable else ", which cannot be read"
        return Finding("catalogue", f"file {settings.catalog_file}{words}; no archive is asked", remedy)
    cells = list(islice(open_cells(settings).all(), CELLS_COUNTED))
    stars, size = sum(cell.stars for cell in cells), sum(cell.size_bytes for cell in cells)
    many = "at least " if len(cells) == CELLS_COUNTED else ""
    kept = f"{many}{len(cells)} cells with {stars} stars ({size / 1e6:.1f} MB) in {catalogue_folder(settings)}"
    if settings.catalog == "none":
        return Finding("catalogue", f"none is asked, as the settings say; {kept}")
    return Finding(
        "catalogue", f"Gaia DR3 at {settings.catalog_url} to G = {settings.catalog_mag_limit:g}; kept: {kept}"
    )


def _root(root: Path, min_free_bytes: int) -> Iterator[Finding]:
    if not root.is_dir():
        yield Finding("root folder", f"{root} is no folder", "make it, run `tianyu init`, or correct TIANYU_ROOT")
        return
    if found := disk.hindrance(root, min_free_bytes):
        yield Finding("disk", found, "until then consumers take no work")
        return
    if not os.access(root, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        yield Finding(
            "root folder", f"{root} is not writable for this user", "change its owner or mode, or TIANYU_ROOT"
        )
        return
    free = shutil.disk_usage(root).free
    enough = free >= FREE_BYTES_LEAST
    remedy = "" if enough else "free some space, or move the root to a larger disk (TIANYU_ROOT)"
    yield Finding("disk", f"{free / 1e9:.1f} GB free at {root}", remedy)


def _database(settings: Settings, engine: Engine) -> Iterator[Finding]:
    name = engine.url.render_as_string(hide_password=True)
    try:
        versions.check_version(engine)
    except SchemaVersionError as error:
        yield Finding("database", str(error), "run `tianyu init`, or the Tianyu that made the schema")
        return
    except DBAPIError as error:
        yield Finding("database", str(database_failure(engine, error)), "start it, or correct TIANYU_DATABASE_URL")
        return
    with engine.connect().execution_options(**database.READ_ONLY) as connection:
        if engine.dialect.name == "sqlite":
            server = "SQLite"
        else:
            version = connection.execute(text("SELECT VERSION()")).scalar()
            encrypted = connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_version'")).one()[1]
            server = f"{version}, {encrypted or 'not encrypted'}"
        yield Finding("database", f"{name}, {server}, schema up to date")
        yield from _complete(connection)
        yield from _registration(settings, engine)
        yield from _services(settings, engine)
        yield from ask_database(settings, engine, connection)
        for found in partitions.look(connection):
            yield partitions_of(connection, found, settings.rows_per_range)


def partitions_of(connection: Connection, found: Partitions, rows_per_range: int) -> Finding:
    """Whether a table has ranges for what comes, and not so many that a read of one star takes long."""
    number = len(found.ranges)
    words = f"{found.table}: {number} ranges, room for {found.room} more images"
    if found.beyond:
        many = "more than " if found.beyond > partitions.COPIED_MOST else ""
        words += f"; {many}{min(found.beyond, partitions.COPIED_MOST)} rows lie behind them, slower to write"
    if found.is_full:
        remedy = (
            f"a server takes {partitions.ENGINE_MOST - 1}: run `tianyu init` as the owner of the schema when nobody is "
            "at work, it makes room by merging the oldest; until then nothing is lost, what has no range is slower to "
            "write"
        )
    elif number > partitions.RANGES_MOST:
        remedy = (
            f"more than {partitions.RANGES_MOST} make reads slow: run `tianyu init` as the owner of the schema when "
            "nobody is at work, it merges them; set rows_per_range higher where they are full"
        )
    elif found.beyond or found.room < found.images_per_range(rows_per_range) // 2:
        who = connection.execute(text("SELECT CURRENT_USER()")).scalar_one().partition("@")
        user = "@".join(f"'{part}'" for part in who[::2])
        name = connection.execute(text("SELECT DATABASE()")).scalar_one()
        remedy = (
            "an active manager adds ranges, where its user may; if its log says that it may not, as an administrator: "
            f"GRANT ALTER ON `{name}`.`{found.table}` TO {user}; or run `tianyu init` as the owner of the schema"
        )
    else:
        remedy = ""
    return Finding("partitions", words, remedy)


def _complete(connection: Connection) -> Iterator[Finding]:
    """Whether all tables and views are there."""
    inspector = inspect(connection)
    tables = sorted(models.metadata.tables.keys() - set(inspector.get_table_names()))
    if tables:
        yield Finding("tables", f"missing: {', '.join(tables)}", "restore the database from a backup")
        return
    outdated = views.to_make(connection)
    if outdated:
        there = set(inspector.get_view_names())
        states = (f"{name} ({'of another Tianyu, or changed' if name in there else 'missing'})" for name in outdated)
        yield Finding("views", ", ".join(states), "run `tianyu init`: it makes them")
        return
    yield Finding("views", f"all {len(views.VIEWS)} views are there, and all {len(models.metadata.tables)} tables")


def _registration(settings: Settings, engine: Engine) -> Iterator[Finding]:
    with database.reading_factory(engine)() as session:
        site = session.scalar(select(Site).where(Site.name == settings.site))
        groups = set(session.scalars(select(ProcessGroup.name)))
    root = str(settings.root.absolute())
    if site is None:
        yield Finding("site", f"site {settings.site!r} is not registered", "run `tianyu init`")
    elif site.root != root:
        remedy = "set TIANYU_ROOT to the registered folder, or run `tianyu init` to register this one"
        yield Finding("site", f"site {settings.site!r} is registered with root {site.root}, here it is {root}", remedy)
    else:
        yield Finding("site", f"site {settings.site!r} registered")
    missing = [group for group in settings.all_groups() if group not in groups]
    if missing:
        yield Finding("groups", f"groups {', '.join(missing)} are not registered", "run `tianyu init`")


def _services(settings: Settings, engine: Engine) -> Iterator[Finding]:
    """Whether somebody is there for the work that waits; without work nobody need be."""
    with database.reading_factory(engine)() as session:
        found = overview(session)
    unfinished = any(not one.finished for one in found.observations) or any(one.unstarted for one in found.queues)
    yield _managers(found.services, unfinished)
    yield from _troubles(settings.site, found.services)
    for one in found.hindered:
        text = f"{_processes(one.count)} for them since {one.since:%Y-%m-%d %H:%M:%S} UTC: {one.reason}"
        yield Finding("surroundings", text, "mend that; all goes on by itself, at once after `tianyu retry PID`")
    for queue in found.queues:
        if queue.site == settings.site:
            yield from _queue(queue)


def _managers(services: Sequence[LiveService], unfinished: bool) -> Finding:
    active, standby = active_managers(services), standby_managers(services)
    if not active:
        waits = "and work waits for it" if unfinished else "and no work waits for it"
        return Finding("manager", f"{NO_ACTIVE_MANAGER}, {waits}", manager_remedy(services) if unfinished else "")
    hosts = ", ".join(manager.host for manager in active)
    if len(active) > 1:
        longest = max(manager.alive_s for manager in active)
        remedy = (
            f"look again in {longest:.0f} s: one that was killed counts as alive until then; if both stay, stop one, "
            "keep the logs of both and report it"
        )
        return Finding("manager", f"{len(active)} managers say that they are active, on {hosts}: one may be", remedy)
    return Finding("manager", f"active on {hosts}; {len(standby)} stand by")


def _troubles(site: str, services: Sequence[LiveService]) -> Iterator[Finding]:
    """What hinders managers and this site's consumers, or did lately."""
    for service in services:
        if service.trouble is not None and service.site in (None, site):
            remedy = "" if service.trouble.until is not None else "mend what it says; the service goes on by itself"
            yield Finding(f"{service.kind} on {service.host}", f"trouble {service.trouble}", remedy)


def _queue(queue: QueueStatus) -> Iterator[Finding]:
    subject = f"group {queue.group}"
    if queue.paused_since is not None:
        since = f"paused since {queue.paused_since:%Y-%m-%d %H:%M:%S} UTC"
        yield Finding(subject, f"{since}; {_waiting(queue, 'it')}", resume_remedy(queue))
    waiting = _waiting(queue, f"group {queue.group!r} of site {queue.site}")
    if queue.consumers:
        alive = f"consumers alive: {queue.consumers}, their slots: {queue.slots}, processes at work: {queue.running}"
        yield Finding(subject, f"{waiting}; {alive}")
    else:
        remedy = consumer_remedy(queue) if queue.unstarted or queue.blocked else ""
        yield Finding(subject, f"{waiting} and no consumer is alive", remedy)


def _waiting(queue: QueueStatus, whom: str) -> str:
    """How many processes wait for a group, and how many of it for other processes first."""
    first = f"{_processes(queue.unstarted)} for {whom}"
    if not queue.blocked:
        return first
    if queue.unstarted:
        return f"{first}, {queue.blocked} more for other processes first"
    return f"{_processes(queue.blocked)} for {whom}, and for other processes first"


def _processes(count: int) -> str:
    return f"{count or 'no'} process{'es wait' if count != 1 else ' waits'}"


def _broker(settings: Settings) -> Iterator[Finding]:
    try:
        if is_process_table(settings.broker_url.get_secret_value()):
            yield Finding("broker", "none is needed: the process table of the database is the queue")
            return
        broker = open_broker(settings)
    except TianyuError as error:
        yield Finding("broker", str(error), "start it, or correct TIANYU_BROKER_URL")
        return
    try:
        yield from _queues_of(broker, settings)
    except TianyuError as error:
        yield Finding("broker", str(error), "see the message; the manager declares the queues when it starts")
    finally:
        broker.close()


def _queues_of(broker: Broker, settings: Settings) -> Iterator[Finding]:
    """Send each queue a message that means nothing, and see whether it is taken."""
    queues = [work_queue(settings.site, group) for group in settings.all_groups()]
    for queue in queues:
        broker.declare(queue)
    found = {queue: f"{broker.depth(queue)} waiting" for queue in queues}
    aside = {queue: broker.depth(dead_letter_queue(queue)) for queue in queues}
    events = event_queue(settings.site)
    broker.declare_events(events)
    probes = {queue: broker.send(queue, [PROBE]) for queue in (*queues, events)}
    wait(probes.values(), CONFIRM_S)
    if broker.blocked:
        yield Finding("broker", f"answers, but takes no messages: {broker.blocked}", SILENCE_REMEDY)
        return
    yield Finding("broker", "answers")
    for queue, probe in probes.items():
        subject = f"queue {queue}"
        if not probe.done():
            yield Finding(subject, f"confirms no message within {CONFIRM_S:g} s", SILENCE_REMEDY)
        elif (error := probe.exception()) is not None:
            yield Finding(subject, str(error), SILENCE_REMEDY)
        else:
            yield Finding(subject, ", ".join(["takes messages", *filter(None, [found.get(queue)])]))
        if aside.get(queue):
            yield Finding(f"dead letters of {queue}", dead_letters(queue, aside[queue]), dead_letters_remedy(queue))
