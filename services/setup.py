"""Set up a database for use: schema, site and groups; and open one that is set up."""

from collections.abc import Collection

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import (
    database,
    models,  # noqa: F401 - a row cannot be written before all tables that its own refers to are known
    versions,
)
from schema.database import DatabaseUrlError
from schema.processes import ProcessGroup, Site
from schema.queries.sessions import open_transactions
from schema.versions import InUseError, SchemaVersionError, UnknownRevisionError, UpgradingError
from services.errors import ConfigurationError, TianyuError, TransientError
from services.settings import Settings


def open_engine(settings: Settings) -> Engine:
    """An engine for the configured database, which need not be set up.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    url = settings.database_url.get_secret_value()
    try:
        engine = database.connect(url)
        (engine.url.host or "").encode("idna")  # as connecting will
    except DatabaseUrlError as error:
        raise ConfigurationError(f"TIANYU_DATABASE_URL: {error}") from error
    except ValueError:
        # Its text may hold parts of the password, where that has an unquoted @ or colon.
        raise ConfigurationError(
            "TIANYU_DATABASE_URL: host or port cannot be read: expected mysql+pymysql://USER:PASSWORD@HOST:PORT/NAME "
            "with special characters of the password quoted (@ as %40)"
        ) from None
    if engine.url.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "TIANYU_DATABASE_URL names no database: expected sqlite:///PATH or mysql+pymysql://USER:PASSWORD@HOST/NAME"
        )
    return engine


def database_failure(engine: Engine, error: DBAPIError) -> TianyuError:
    """What a driver's error means to the one who runs the command; the password is never in it."""
    where = engine.url.render_as_string(hide_password=True)
    questions = "is it running, and are host, user, password and name right?"
    if engine.dialect.name == "sqlite":
        questions = "is its folder there, writable and not full, and is the file a database?"
    kind = ConfigurationError if database.is_denied(error) else TransientError
    return kind(f"database {where} cannot be used: {error.orig}; {questions} `tianyu doctor` looks closer")


def initialise(settings: Settings, engine: Engine, *, alone: bool = False) -> list[str]:
    """Migrate the schema and register site and groups of the settings; safe to repeat. Returns what was done.

    ``alone``: no other program is at work in the database, whatever it heard from one last.
    """
    root = settings.root.absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"root folder {str(root)!r} cannot be made: {error}; set TIANYU_ROOT") from error
    arranged = upgrade(settings, engine, alone=alone)
    try:
        with database.session_factory(engine).begin() as session:
            return ["schema is up to date", *arranged, *_register(session, settings, str(root))]
    except DBAPIError as error:
        raise database_failure(engine, error) from error


def upgrade(settings: Settings, engine: Engine, *, alone: bool = False, ended: Collection[str] = ()) -> list[str]:
    """Migrate the schema, as `schema.versions.migrate` does; returns what was done to partitions.

    Raises:
        ConfigurationError: the schema is another Tianyu's, or in use by programs that could not go on.
        TransientError: another session is in the way.
    """
    try:
        return versions.migrate(engine, settings.rows_per_range, alone=alone, ended=ended)
    except UnknownRevisionError as error:
        raise of_another(engine, error) from error
    except InUseError as error:
        raise _in_use(engine, error) from error
    except UpgradingError as error:
        raise TransientError(
            f"database {engine.url.render_as_string(hide_password=True)} is being upgraded by somebody else: {error}. "
            "Wait for its end; `tianyu db status` says how far it is"
        ) from error
    except SchemaVersionError as error:
        raise ConfigurationError(str(error)) from error
    except DBAPIError as error:
        if database.code_of(error) == database.LOCK_WAIT_CODE:
            raise _held_up(engine) from error
        raise database_failure(engine, error) from error


def of_another(engine: Engine, error: UnknownRevisionError) -> ConfigurationError:
    """The schema's version is not known."""
    return ConfigurationError(
        f"database {engine.url.render_as_string(hide_password=True)} has a schema of another Tianyu: {error}; "
        "install the version that made it, or name another database"
    )


def _in_use(engine: Engine, error: InUseError) -> ConfigurationError:
    changes = "; ".join(f"{step.revision}, {step.title[0].lower()}{step.title[1:]}" for step in error.steps)
    return ConfigurationError(
        f"database {engine.url.render_as_string(hide_password=True)} is in use, and the upgrade changes what running "
        f"programs use ({changes}): {'; '.join(map(str, error.services))}. Stop them (SIGTERM: what runs is finished), "
        "then run the upgrade again; of one that has ended without a word say `tianyu db upgrade --ended NAME`. "
        "Nothing was changed"
    )


def _held_up(engine: Engine) -> TransientError:
    """Who holds a lock on what was to be changed."""
    try:
        with engine.connect() as connection:
            found = open_transactions(connection)
    except DBAPIError:
        found = []
    seen = (
        f"{'; '.join(map(str, found))}. Commit or close there, or end it (KILL {found[0].number})"
        if found
        else "the server shows whose to a user with the right PROCESS (SHOW PROCESSLIST). Have that session end"
    )
    return TransientError(
        f"database {engine.url.render_as_string(hide_password=True)}: another session's open transaction holds up the "
        f"change of a table or view: {seen}, then run `tianyu init` again. No view was taken away"
    )


def _register(session: Session, settings: Settings, root: str) -> list[str]:
    done = []
    site = session.scalar(select(Site).where(Site.name == settings.site))
    if site is None:
        session.add(Site(name=settings.site, root=root))
        done.append(f"site {settings.site!r} registered with root {root}")
    elif site.root != root:
        done.append(f"site {settings.site!r}: root changed from {site.root} to {root}")
        site.root = root
    known = set(session.scalars(select(ProcessGroup.name)))
    for group in settings.all_groups():
        if group not in known:
            session.add(ProcessGroup(name=group))
            done.append(f"group {group!r} registered")
    return done


def require_site(settings: Settings, engine: Engine) -> None:
    """Make sure that the site is registered: nothing would ever come to the queues of another.

    Raises:
        ConfigurationError: it is not.
    """
    with database.reading_factory(engine)() as session:
        sites = list(session.scalars(select(Site.name).order_by(Site.name)))
    if settings.site not in sites:
        raise ConfigurationError(
            f"site {settings.site!r} is not registered in {engine.url.render_as_string(hide_password=True)} (there: "
            f"{', '.join(sites) or 'none'}): correct TIANYU_SITE, or run `tianyu init` to register it"
        )


def open_database(settings: Settings) -> Engine:
    """An engine for a database that is set up for this version.

    Raises:
        ConfigurationError: the URL is wrong, or the schema is missing or of another version.
        TransientError: the database does not answer.
    """
    engine = open_engine(settings)
    try:
        versions.check_version(engine)
    except SchemaVersionError as error:
        raise ConfigurationError(str(error)) from error
    except DBAPIError as error:
        raise database_failure(engine, error) from error
    return engine
