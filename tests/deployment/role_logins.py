"""A database with its owner, roles and logins on a real server, as a deployment has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, make_url, text

from schema.roles import ROLES, login_name, role_name
from tests.conftest import MARIADB, fresh_database
from tests.servers.env import CHECKOUT

OWNER_SQL = CHECKOUT / "deploy" / "mysql" / "10-owner.sql"
OWNER = "owner"


@dataclass(frozen=True)
class Logins:
    """URLs by role, the owner's among them; passwords lie in files, one a role."""

    administrator: URL
    passwords: Path

    def url(self, role: str, *, with_password: bool = True) -> str:
        """Of the login of a role."""
        user = login_name(str(self.administrator.database), role)
        password = (self.passwords / role).read_text(encoding="utf-8") if with_password else None
        return self.administrator.set(username=user, password=password).render_as_string(hide_password=False)


@contextmanager
def logins(engine: str, folder: Path, secrets: Path | None = None) -> Iterator[Logins]:
    """A new database with its owner, and passwords for the logins that it may make; all are dropped afterwards.

    The passwords are hard ones, or those of a deployment's folder.
    """
    passwords = folder / "passwords"
    passwords.mkdir()
    for role in (OWNER, *(role.name for role in ROLES)):
        hard = f"{role}'s @:/%\"password"
        password = hard if secrets is None else (secrets / f"database_{role}").read_text(encoding="utf-8")
        (passwords / role).write_text(password, encoding="utf-8")
    # Names of roles carry the database's, and have 32 characters at most on MySQL.
    with fresh_database(engine, folder, "t_", 10) as url:
        found = Logins(make_url(url), passwords)
        _as_administrator(found, _owner(found, engine))
        try:
            yield found
        finally:
            name = str(found.administrator.database)
            names = [f"'{login_name(name, role)}'@'%'" for role in (OWNER, *(role.name for role in ROLES))]
            roles = [f"DROP ROLE IF EXISTS '{role_name(name, role.name)}'" for role in ROLES]
            _as_administrator(found, [f"DROP USER IF EXISTS {', '.join(names)}", *roles])


def _owner(found: Logins, engine: str) -> list[str]:
    """What the image does, and the file of the deployment besides."""
    name = str(found.administrator.database)
    user = login_name(name, OWNER)
    sql = "\n".join(line for line in OWNER_SQL.read_text(encoding="utf-8").splitlines() if not line.startswith("--"))
    if engine == MARIADB:
        # Who makes a role there may give it; that it counts from the login on is a change of the system's tables.
        sql = sql.replace(", ROLE_ADMIN", "").replace("SELECT ON mysql.*", "SELECT, UPDATE ON mysql.*")
    sql = sql.replace("tianyu_owner", user).replace("tianyu.*", f"{name}.*")
    password = (found.passwords / OWNER).read_text(encoding="utf-8").replace("'", "''")
    return [f"CREATE USER {user} IDENTIFIED BY '{password}'", *filter(None, map(str.strip, sql.split(";")))]


def _as_administrator(found: Logins, statements: list[str]) -> None:
    administrator = create_engine(found.administrator, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", r"\:")))
