"""The database's roles, made or written down: `tianyu init --roles`."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from schema import database, roles
from schema.roles import ROLES, RoleNameError, RoleStatements
from services.errors import ConfigurationError
from services.secret_files import read_one
from services.setup import database_failure


def write_down(engine: Engine) -> Iterator[str]:
    """Lines of SQL for an administrator.

    Raises:
        ConfigurationError: the engine knows no roles.
        TransientError: the database does not answer.
    """
    statements = _statements(engine)
    yield "-- Roles of Tianyu, with the rights of this version. Run it again after each upgrade."
    for role in ROLES:
        yield from (f"{line};" for line in statements.make(role))
    yield "-- A login of each. Put a password of your own in the place of PASSWORD."
    for role in ROLES:
        yield from (f"{line.replace(':password', repr('PASSWORD'))};" for line in statements.log_in(role))
    yield "-- A reader's statement ends in time, and looks at not too many rows. Make it the server's setting."
    yield f'SET GLOBAL init_connect = "{statements.limit_sessions()}";'


def make(engine: Engine, passwords: Path | None) -> list[str]:
    """Make the roles or give them this version's rights; and a login for each password in a folder.

    Raises:
        ConfigurationError: the engine knows no roles, or this user may not make them.
        TransientError: the database does not answer.
    """
    statements = _statements(engine)
    secrets = {} if passwords is None else _passwords(passwords)
    done = []
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for role in ROLES:
                for line in statements.make(role):
                    connection.execute(text(_quoted(line)))
                for line in statements.take_back(role, roles.granted(connection, statements, role)):
                    connection.execute(text(_quoted(line)))
                done.append(f"role {statements.role(role)} has the rights of this version")
                if role.name in secrets:
                    for line in statements.log_in(role):
                        values = {"password": secrets[role.name]} if ":password" in line else {}
                        connection.execute(text(line), values)
                    done.append(f"login {statements.login(role)} has the role, and the password of {passwords}")
    except DBAPIError as error:
        if database.is_denied(error):
            raise ConfigurationError(
                f"this user may not make roles: {error.orig}; `tianyu init --roles --print` writes the SQL for an "
                "administrator, or give the user what deploy/mysql/10-owner.sql has (on MariaDB UPDATE ON mysql.* in "
                "the place of ROLE_ADMIN)"
            ) from error
        raise database_failure(engine, error) from error
    return done


def _quoted(line: str) -> str:
    """SQLAlchemy takes a colon for a parameter."""
    return line.replace(":", r"\:")


def _statements(engine: Engine) -> RoleStatements:
    if engine.dialect.name == "sqlite":
        raise ConfigurationError("SQLite has no roles: who may open the file may change it. Leave --roles out")
    try:
        with engine.connect() as connection:
            return RoleStatements.of(connection)
    except RoleNameError as error:
        raise ConfigurationError(str(error)) from None
    except DBAPIError as error:
        raise database_failure(engine, error) from error


def _passwords(folder: Path) -> dict[str, str]:
    """Passwords by role, of the files that are there."""
    found = {role.name: read_one("--passwords", folder / role.name) for role in ROLES if (folder / role.name).exists()}
    if not found:
        names = ", ".join(role.name for role in ROLES)
        raise ConfigurationError(f"--passwords: folder {str(folder)!r} has no file named as a role ({names})")
    return found
