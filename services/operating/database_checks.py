"""What `tianyu doctor` asks the database: its clock, the rights of this login, the site's files, and retention."""

import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import database
from schema.base import utc_now
from schema.image import Image
from schema.processes import Site
from schema.queries import old_attempts
from schema.roles import ROLES, RoleNameError, RoleStatements, granted_to_me, role_name
from services.operating.backup.client_programs import DUMPING, Server
from services.operating.finding import Finding
from services.settings import Settings

SKEW_MOST_S = 2.0  # a lease is renewed every 20 s; frames of a camera are stamped by hosts' clocks
LATE_S = 3600.0  # behind the time at which retention is due
FILES_LOOKED_AT = 5


def ask_database(settings: Settings, engine: Engine, connection: Connection) -> Iterator[Finding]:
    """All of it; ``connection`` only reads."""
    if connection.dialect.name != "sqlite":
        yield look_at_clock(connection)
        yield from look_at_rights(connection)
        yield _dumping(connection)
    with database.reading_factory(engine)() as session:
        site = session.scalar(select(Site).where(Site.name == settings.site))
        if site is not None and site.root == str(settings.root.absolute()):
            yield from _files(session, settings, site.site_id)
        if settings.retention is not None:
            yield _retention(session, settings, None if site is None else site.site_id)


def look_at_clock(connection: Connection) -> Finding:
    before = time.time()
    theirs = connection.execute(select(utc_now())).scalar_one()
    took = time.time() - before
    skew = theirs.replace(tzinfo=UTC).timestamp() - before - took / 2
    words = f"the database's is {abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} this host's"
    remedy = f"set both by NTP: more than {SKEW_MOST_S:g} s are too much for leases and times of frames"
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC here"
    return Finding("clocks", f"{words} ({now})", remedy * (abs(skew) - took / 2 > SKEW_MOST_S))


def look_at_rights(connection: Connection) -> Iterator[Finding]:
    """Whether the role that this login has may do what this version of Tianyu does; owners have no role."""
    try:
        statements = RoleStatements.of(connection)
        named = re.findall(r"[\w]+", str(connection.execute(text("SELECT CURRENT_ROLE()")).scalar_one_or_none() or ""))
        roles = [role for role in ROLES if role_name(str(connection.engine.url.database), role.name) in named]
        user = connection.execute(text("SELECT CURRENT_USER()")).scalar_one()
        if not roles:
            yield Finding("rights", f"user {user} has none of Tianyu's roles")
        for role in roles:
            has = granted_to_me(connection, statements, role)
            lacks = [
                f"{right} on {table}"
                for table in role.tables
                for right, columns in role.rights(table).items()
                if right not in has.get(table, {}) or (has[table][right] and columns - has[table][right])
                or (has[table][right] and not columns)
            ]  # fmt: skip
            words = f"user {user} has role {role.name}"
            if lacks:
                yield Finding(
                    "rights", f"{words}, which lacks {', '.join(lacks)}", "run `tianyu init --roles` as the owner"
                )
            else:
                yield Finding("rights", f"{words}, with all rights that it needs")
    except RoleNameError:
        return
    except DBAPIError as error:  # who may not see grants of a role has it from elsewhere
        yield Finding("rights", f"cannot be seen by this user: {error.orig}")


def _dumping(connection: Connection) -> Finding:
    """Whether this machine could make a backup; one that has the programs is enough."""
    names = DUMPING[Server.of(connection).kind]
    found = [path for name in names if (path := shutil.which(name))]
    here = found[0] if found else f"no {' or '.join(names)} here: `tianyu backup` is for a machine that has one"
    return Finding("backup", here)


def _files(session: Session, settings: Settings, site_id: int) -> Iterator[Finding]:
    """Whether the newest images of the site lie under the root: another disk may be mounted in its place."""
    query = select(Image.path).where(Image.site_id == site_id, Image.pid.is_not(None), Image.deleted_at.is_(None))
    newest = list(session.scalars(query.order_by(Image.image_id.desc()).limit(FILES_LOOKED_AT)))
    missing = [path for path in newest if not (settings.root / path).is_file()]
    if newest and len(missing) == len(newest):
        remedy = "mount the site's disk there, or correct TIANYU_SITE or TIANYU_ROOT: a site has one file system"
        words = f"none of the newest images of site {settings.site!r} is under {settings.root.absolute()}: {missing[0]}"
        yield Finding("site's files", words, remedy)
    elif newest:
        yield Finding("site's files", f"the newest images of site {settings.site!r} are here")


def _retention(session: Session, settings: Settings, site_id: int | None) -> Finding:
    assert settings.retention is not None
    since_s = old_attempts.since_last_run_s(session, site_id)
    remedy = (
        "the active manager carries it out if its user may delete and it sees the disk (its log says); else a timer "
        "is to run `tianyu gc --policy` as an operator on a machine of this site"
    )
    if since_s is None:
        return Finding("retention", f"never carried out at site {settings.site!r}", remedy)
    last = old_attempts.last_run(session, site_id)
    assert last is not None
    words = f"carried out {since_s / 3600.0:.1f} h ago on {last.host}: {last.files} files, {last.deleted_rows} rows"
    if last.failures:
        return Finding("retention", f"{words}; {last.failures.splitlines()[0]}", "mend that, then `tianyu gc --policy`")
    late = since_s > 2 * settings.retention.every_h * 3600.0 + LATE_S
    return Finding("retention", words, remedy * late)
