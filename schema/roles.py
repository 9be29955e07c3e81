"""Who may change what: the database's roles, and the SQL that makes them on MySQL and MariaDB.

Every role reads everything: no table holds a secret. What a program has no reason to change, its role may not change,
so that a stolen password or an error in one program does not spoil what the others answer for. Roles are of the server,
and carry the database's name; a person or program has a login, and the login has a role.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from schema.base import Base, table_of
from schema.database import code_of
from schema.observing import Observation
from schema.read_only import READER_ROWS

NAME_MOST = 32  # characters of a user or role on MySQL
HOST = "%"
UNKNOWN_CODES = (1141, 1147)  # no such grant
READER_CONNECTIONS = 20  # at a time, of a login that only reads
READER_STATEMENT_S = 300  # of a statement

Columns = tuple[str, ...]
ANY: Columns = ()  # all columns of a table, those of later versions too


@dataclass(frozen=True)
class Role:
    """What a role may do besides reading; columns by table where only some may be changed."""

    name: str
    inserts: tuple[str, ...] = ()
    updates: Mapping[str, Columns] = field(default_factory=dict)
    deletes: tuple[str, ...] = ()
    alters: tuple[str, ...] = ()

    @property
    def tables(self) -> list[str]:
        """Those that it may change."""
        return sorted({*self.inserts, *self.updates, *self.deletes, *self.alters})

    def rights(self, table: str) -> "Rights":
        """On one table: columns by right."""
        found: Rights = {}
        for right, tables in (("INSERT", self.inserts), ("DELETE", self.deletes), ("ALTER", self.alters)):
            if table in tables:
                found[right] = frozenset()
        if table in self.updates:
            found["UPDATE"] = frozenset(self.updates[table])
        return found


Rights = dict[str, frozenset[str]]


def _but(model: type[Base], *names: str) -> Columns:
    """All columns of today besides these: of what several programs change, each has its own."""
    return tuple(name for name in table_of(model).columns.keys() if name not in names)  # noqa: SIM118 - no dict


_STATE = ("status", "not_before", "sent_at", "finished_at", "error_class", "error")
_RESULTS = (
    *("alignment", "verdict", "reference_frame", "frame_sight", "masked_pixels", "rejection"),
    *("aperture", "aperture_correction", "flux", "relative_flux", "reference_star", "relative_calibration"),
    *("zero_point", "zero_point_star", "light_curve_statistics", "variability", "later_frame"),
    *("standard_transformation", "standard_zero_point"),
    *("forced_place", "forced_flux", "forced_term"),
    *("sky", "plate_solution", "sky_image", "source", "source_position", "source_crossmatch"),
    *("package", "wcs_claim"),
)
_FRAMES = (
    "instrument",
    "filter",
    "obs_site",
    "target",
    "observation",
    "told_place",
    "image",
    "frame_note",
    "rejection",
)

# Of an older graph it copies what the new one goes on with.
_COPIED = ("image_parent", "alignment", "reference_frame", "verdict", "plate_solution", "sky_image", "source_position")
# Of what the newest process found of an image the mark goes from the row that had it.
_MARKED = dict.fromkeys(("alignment", "verdict", "frame_sight", "masked_pixels"), ("is_newest",))
_LOCKED: Columns = ("priority",)  # to lock a row one must have the right to change something of it

PUBLISHER = Role(
    "publisher",
    inserts=(*_FRAMES, *_COPIED, "named_object", "published_choices", "process", "process_dependence"),
    updates={
        "image": ANY,
        "instrument": ANY,
        "named_object": ANY,
        "observation": _but(Observation, "calibration_pid", "analysis_pid", "detrend_pid", "zero_point_pid"),
        "obs_site": ("elevation_m",),
        "process": _LOCKED,
    },
    deletes=("told_place", "frame_note", "rejection"),
)
MANAGER = Role(
    "manager",
    inserts=("service", "leader", "queue_state"),
    updates={
        "process": (*_STATE, "pending", "propagated", "max_attempts", "slow_attempt", "slow_consumer"),
        "process_attempt": ANY,
        "process_group": ("description",),
        "service": ANY,
        "leader": ANY,
        "queue_state": ANY,
    },
    deletes=("service", "queue_state", "lease"),
    alters=("flux", "relative_flux"),
)
CONSUMER = Role(
    "consumer",
    inserts=(
        *("service", "process_attempt", "lease", "read_key", "image", "image_parent", "frame_note", "captured_frame"),
        *_RESULTS,
    ),
    updates={
        "process": (*_STATE, "attempt", "max_attempts", "slow_attempt", "slow_consumer", "origin_pid"),
        "process_attempt": ANY,
        "lease": ("lease_until",),
        "read_key": ("pid",),
        "service": ANY,
        "observation": ("sky_id", "graph_pid", "calibration_pid", "analysis_pid", "detrend_pid", "zero_point_pid"),
        "sky": ANY,
        "sky_registry": ANY,
        "source": ANY,
        **_MARKED,
    },
    deletes=("lease", "service", "source_crossmatch"),
)
# Publishes, and besides stops, sends back, watches a night and tells of it, backs up, and removes what nobody needs.
OPERATOR = Role(
    "operator",
    inserts=(*PUBLISHER.inserts, "paused_group", "unwanted_rows", "alert", "retention_run"),
    updates={
        **PUBLISHER.updates,
        "process": (*_STATE, "pending", "propagated", "priority", "max_attempts", "slow_attempt", "slow_consumer"),
        "process_attempt": ("outcome", "finished_at"),
        "process_group": ("description",),
        "alert": ("sent_at", "refusal"),
        "upkeep": ("images_held_by", "images_held_since", "images_held_until"),  # a backup, and gc, which looks
    },
    deletes=(
        *(*PUBLISHER.deletes, "paused_group", "unwanted_rows", "lease"),
        *("process", "process_attempt", "process_dependence", "read_key"),
        *("flux", "relative_flux", "reference_star", "relative_calibration", "zero_point", "zero_point_star"),
        *("light_curve_statistics", "variability", "later_frame", "standard_transformation", "standard_zero_point"),
        *("forced_place", "forced_flux", "forced_term"),
    ),
)
READER = Role("reader")
WEB = Role("web")  # `tianyu serve`: what it lacks a person may have, so that the one is stopped without the other
REVIEWER = Role("reviewer", inserts=("candidate_verdict",))  # `tianyu serve`, for verdicts on candidates alone
ROLES = (PUBLISHER, MANAGER, CONSUMER, OPERATOR, READER, WEB, REVIEWER)
LIMITED = (READER, WEB)


def role_name(database: str, role: str) -> str:
    """What the server calls a role of a database."""
    return f"{database}_role_{role}"


def login_name(database: str, role: str) -> str:
    """The user that a program with this role logs in as."""
    return f"{database}_{role}"


class RoleNameError(ValueError):
    """The database's name makes names of roles that a server does not take."""


class RoleStatements:
    """SQL for the roles of one database, in the words of its server."""

    def __init__(self, database: str, *, is_mariadb: bool) -> None:
        self._database, self._is_mariadb = database, is_mariadb
        if not re.fullmatch(r"\w+", self._database) or len(role_name(self._database, PUBLISHER.name)) > NAME_MOST:
            most = NAME_MOST - len(role_name("", PUBLISHER.name))
            raise RoleNameError(
                f"roles carry the name of their database, and {self._database!r} is none that they can carry: expected "
                f"at most {most} letters, digits and underscores"
            )

    @classmethod
    def of(cls, connection: Connection) -> "RoleStatements":
        """Those of the database that is connected to."""
        is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
        return cls(str(connection.engine.url.database), is_mariadb=is_mariadb)

    def role(self, role: Role) -> str:
        """As a grantee."""
        name = f"'{role_name(self._database, role.name)}'"
        return name if self._is_mariadb else f"{name}@'{HOST}'"

    def login(self, role: Role) -> str:
        """As an account."""
        return f"'{login_name(self._database, role.name)}'@'{HOST}'"

    def make(self, role: Role) -> Iterator[str]:
        """The role itself, with its rights; again and again without harm."""
        yield f"CREATE ROLE IF NOT EXISTS {self.role(role)}"
        # Of an underscore in its name a server makes "any letter", unless it is told not to.
        whole = self._database.replace("_", r"\_")
        yield f"GRANT SELECT, SHOW VIEW ON `{whole}`.* TO {self.role(role)}"
        for table in role.tables:
            yield f"GRANT {_listed(role.rights(table))} ON `{self._database}`.`{table}` TO {self.role(role)}"

    def take_back(self, role: Role, granted: Mapping[str, Rights]) -> Iterator[str]:
        """Rights on tables that an earlier version gave, and this one does not."""
        for table, rights in granted.items():
            wanted = role.rights(table)
            extra: Rights = {}
            for right, columns in rights.items():
                if right not in wanted or (not columns and wanted[right]):
                    extra[right] = columns
                elif wanted[right] and columns - wanted[right]:
                    extra[right] = columns - wanted[right]
            if extra:
                yield f"REVOKE {_listed(extra)} ON `{self._database}`.`{table}` FROM {self.role(role)}"

    def log_in(self, role: Role) -> Iterator[str]:
        """A login with the role; `:password` is to be bound in the first two."""
        limits = f" WITH {self._limits()}" if role in LIMITED else ""
        yield f"CREATE USER IF NOT EXISTS {self.login(role)} IDENTIFIED BY :password"
        yield f"ALTER USER {self.login(role)} IDENTIFIED BY :password{limits}"
        yield f"GRANT {self.role(role)} TO {self.login(role)}"
        if self._is_mariadb:
            yield f"SET DEFAULT ROLE {self.role(role)} FOR {self.login(role)}"
        else:
            yield f"SET DEFAULT ROLE {self.role(role)} TO {self.login(role)}"

    def _limits(self) -> str:
        connections = f"MAX_USER_CONNECTIONS {READER_CONNECTIONS}"
        return f"{connections} MAX_STATEMENT_TIME {READER_STATEMENT_S}" if self._is_mariadb else connections

    def limit_sessions(self) -> str:
        """What a server has to do when somebody connects (`init_connect`), so that readers' statements end.

        MySQL keeps no such limits with an account, and MariaDB none of rows.
        """
        readers = ", ".join(f"'{login_name(self._database, role.name)}'" for role in LIMITED)
        is_reader = f"SUBSTRING_INDEX(USER(), '@', 1) IN ({readers})"
        limits = [("max_join_size", READER_ROWS)]
        if not self._is_mariadb:
            limits.append(("max_execution_time", 1000 * READER_STATEMENT_S))
        return "SET " + ", ".join(
            f"SESSION {name} = CAST(IF({is_reader}, {value}, @@GLOBAL.{name}) AS UNSIGNED)" for name, value in limits
        )


def _listed(rights: Rights) -> str:
    return ", ".join(
        f"{right} ({', '.join(f'`{one}`' for one in sorted(columns))})" if columns else right
        for right, columns in rights.items()
    )


_GRANT = re.compile(r"GRANT (?P<rights>.+) ON `(?P<database>[^`]+)`\.`(?P<table>\w+)` TO ")
_RIGHT = re.compile(r"(?P<right>[A-Z ]+?)(?: \((?P<columns>[^)]*)\))?(?:, ?|$)")


def granted(connection: Connection, statements: RoleStatements, role: Role) -> dict[str, Rights]:
    """Rights on single tables of this database that a role has."""
    try:
        lines = connection.execute(text(f"SHOW GRANTS FOR {statements.role(role)}")).scalars().all()
    except DBAPIError as error:
        if code_of(error) in UNKNOWN_CODES:
            return {}
        raise
    return _read_grants(connection, lines)


def granted_to_me(connection: Connection, statements: RoleStatements, role: Role) -> dict[str, Rights]:
    """Rights on single tables of this database that this connection's user has, by itself and by a role of its own."""
    is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
    using = "" if is_mariadb else f" FOR CURRENT_USER() USING {statements.role(role)}"
    return _read_grants(connection, connection.execute(text(f"SHOW GRANTS{using}")).scalars().all())


def _read_grants(connection: Connection, lines: Iterable[str]) -> dict[str, Rights]:
    found: dict[str, Rights] = {}
    for line in lines:
        grant = _GRANT.match(line)
        if grant and grant["database"] == connection.engine.url.database:
            rights = found.setdefault(grant["table"], {})
            for one in _RIGHT.finditer(grant["rights"]):
                rights[one["right"].strip()] = frozenset(re.findall(r"\w+", one["columns"] or ""))
    return found
