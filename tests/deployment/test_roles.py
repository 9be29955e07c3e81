"""Each program has its own role and password: a night by them, and what each is refused."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, ProbableAuthenticationError
from pydantic import SecretStr
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from schema import models
from schema.database import is_denied
from schema.models import metadata
from schema.photometry import Flux, RelativeCalibration, RelativeFlux, ZeroPoint
from schema.queries import pruning
from schema.read_only import READER_ROWS
from schema.roles import (
    CONSUMER,
    OPERATOR,
    READER_CONNECTIONS,
    READER_STATEMENT_S,
    ROLES,
    Rights,
    RoleStatements,
    granted,
)
from services import database_roles
from services.engine.broker.permissions import PERMISSIONS
from services.errors import ConfigurationError
from services.operating import database_checks
from services.operating.finding import Finding
from services.settings import Settings
from services.setup import open_engine
from services.steps import STEPS
from tests.acceptance.programs import Programs
from tests.conftest import MARIADB, MYSQL
from tests.deployment.conftest import OwnBroker, definitions, new_vhost
from tests.deployment.role_logins import Logins, logins
from tests.integration.command_line import tianyu
from tests.integration.small_night import simulate_night
from tests.integration.web.asking import asking

# What would spoil the work of another: a program whose password was stolen may not do it.
REFUSED = {
    "publisher": (
        "UPDATE process SET status = 'succeeded'",
        "INSERT INTO flux (source_id, image_id, aperture) VALUES (1, 1, 0)",
        "DELETE FROM process",
        "UPDATE observation SET calibration_pid = 1",
        "UPDATE leader SET term = term + 1",
        "DROP TABLE flux",
    ),
    "manager": (
        "INSERT INTO flux (source_id, image_id, aperture) VALUES (1, 1, 0)",
        "UPDATE process SET parameters = '{}'",
        "UPDATE published_choices SET choices = '{}'",
        "DELETE FROM process_attempt",
        "UPDATE image SET path = '/etc/passwd'",
        "DROP TABLE flux",
    ),
    "consumer": (
        "UPDATE process SET parameters = '{}'",
        "UPDATE process SET priority = -1",
        "DELETE FROM process",
        "DELETE FROM flux",
        "UPDATE flux SET flux = 1",
        "UPDATE image SET path = '/etc/passwd'",
        "UPDATE published_choices SET choices = '{}'",
        "UPDATE leader SET term = term + 1",
        "ALTER TABLE flux COMMENT = ''",
    ),
    "operator": ("DROP TABLE flux", "UPDATE flux SET flux = 1", "UPDATE leader SET term = term + 1"),
    "reader": (
        "DELETE FROM process",
        "UPDATE observation SET graph_pid = NULL",
        "INSERT INTO paused_group (site_id, group_id) VALUES (1, 1)",
        "CREATE TABLE mine (number INT)",
        "SELECT * FROM mysql.user",
    ),
    "web": ("DELETE FROM process", "INSERT INTO named_object (name) VALUES ('x')", "UPDATE source SET ra_deg = 1"),
    "reviewer": (
        "DELETE FROM candidate_verdict",
        "UPDATE candidate_verdict SET verdict = 'confirmed'",
        "INSERT INTO named_object (name) VALUES ('x')",
    ),
}


def test_roles_may_write_what_steps_make_and_prune_what_can_be_pruned() -> None:
    made = {table.__tablename__ for step in STEPS.values() for table in step.tables}
    assert made <= set(CONSUMER.inserts)
    bulk = {table.__tablename__ for table in (*pruning.OF_STARS, Flux, RelativeFlux, ZeroPoint, RelativeCalibration)}
    assert bulk <= set(OPERATOR.deletes)
    assert {name for role in ROLES for name in role.tables} <= metadata.tables.keys()
    for role in ROLES:
        for name, columns in role.updates.items():
            assert set(columns) <= set(metadata.tables[name].columns.keys()), f"{role.name} on {name}"


def test_a_night_by_roles(own_broker: OwnBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On MariaDB; that on MySQL is the deployment's own (`test_deployed_night`)."""
    raw, vhost = simulate_night(tmp_path / "night"), new_vhost()
    own_broker.users(definitions(vhost, PERMISSIONS, "secret"))
    with logins(MARIADB, tmp_path) as people, ExitStack() as stack:

        def environment(role: str) -> dict[str, str]:
            return {
                "TIANYU_DATABASE_URL": people.url(role, with_password=False),
                "TIANYU_DATABASE_PASSWORD_FILE": str(people.passwords / role),
                # A publisher and a reader have no user there, and need none.
                "TIANYU_BROKER_URL": own_broker.url(f"{vhost}_{role}", "secret", vhost),
                "TIANYU_SITE": "dome",
                "TIANYU_ROOT": str(tmp_path / "root"),
                "TIANYU_SWEEP_S": "0.5",
            }

        def run(role: str, *words: str) -> str:
            for name, value in environment(role).items():
                monkeypatch.setenv(name, value)
            result = tianyu(*words)
            assert result.exit_code == 0, result.output
            return result.output

        def start(role: str, *words: str) -> None:
            programs = Programs(environment(role), tmp_path)
            stack.callback(programs.stop)
            programs.start(*words)

        run("owner", "init", "--roles", "--passwords", str(people.passwords))
        run("publisher", "ingest", str(raw))
        run("publisher", "publish", "--all")
        start("manager", "manager")
        start("consumer", "consumer")
        assert "light curves made" in run("reader", "status", "--wait", "--timeout", "200")
        assert run("reader", "lightcurve", "--source", "1").count("\n") > 5
        run("operator", "pause", "cpu")
        run("operator", "rerun", str(night_of(people.url("reader"))), "--from", "calibrate_relative")
        run("operator", "resume", "cpu")
        run("operator", "status", "--wait", "--timeout", "200")
        run("operator", "gc")
        run("operator", "backup", str(tmp_path / "backups"))
        found = tianyu("doctor").output  # by the operator's environment
        assert "0 waiting" in found
        assert "with all rights that it needs" in " ".join(found.split())
        assert "not encrypted" in found or "TLSv1" in found
        with asking(Settings(database_url=SecretStr(people.url("web")), root=tmp_path / "root", site="dome")) as client:
            assert f"/observation/{night_of(people.url('reader'))}" in client.get("/").text
            assert len(client.get("/star/1/curve.json").json()["curves"]) == 1
        for role in ("reader", "web"):
            limited = create_engine(people.url(role), poolclass=NullPool)
            with limited.connect() as connection:
                assert connection.execute(text("SELECT @@max_statement_time")).scalar() == READER_STATEMENT_S
        assert_refused(people)


def test_an_upgrade_takes_back_what_a_role_has_no_more(tmp_path: Path) -> None:
    with logins(MYSQL, tmp_path) as people:
        owner = open_engine(Settings(database_url=SecretStr(people.url("owner")), root=tmp_path))
        models.metadata.create_all(owner)
        database_roles.make(owner, people.passwords)
        assert_refused(people)
        before = rights_of(people)
        with owner.begin() as connection:
            role = RoleStatements.of(connection).role(CONSUMER)
            connection.execute(text(f"GRANT DELETE, UPDATE (path) ON image TO {role}"))
            connection.execute(text(f"GRANT UPDATE ON process TO {role}"))
        assert rights_of(people) != before
        database_roles.make(owner, None)
        assert rights_of(people) == before
        told = ask_of_rights(people)
        assert (told.ok, told.found.partition(" has ")[2]) == (True, "role consumer, with all rights that it needs")
        with owner.begin() as connection:
            connection.execute(text(f"REVOKE INSERT ON flux FROM {role}"))
            connection.execute(text(f"REVOKE UPDATE (status) ON process FROM {role}"))
        told = ask_of_rights(people)
        assert "which lacks INSERT on flux, UPDATE on process" in told.found
        assert told.remedy == "run `tianyu init --roles` as the owner"
        database_roles.make(owner, None)
        assert ask_of_rights(people).ok
        written = list(database_roles.write_down(owner))
        assert sum(line.startswith("CREATE ROLE") for line in written) == len(ROLES)
        owner.dispose()
        reader = open_engine(Settings(database_url=SecretStr(people.url("reader")), root=tmp_path))
        with pytest.raises(ConfigurationError, match=r"may not make roles.*--print"):
            database_roles.make(reader, None)
        reader.dispose()


def test_users_of_the_broker_may_do_no_more(own_broker: OwnBroker) -> None:
    vhost = new_vhost()
    own_broker.users(definitions(vhost, PERMISSIONS, "secret"))

    def refused(role: str, work: Callable[[BlockingChannel], object]) -> bool:
        connection = pika.BlockingConnection(pika.URLParameters(own_broker.url(f"{vhost}_{role}", "secret", vhost)))
        try:
            work(connection.channel())
        except ChannelClosedByBroker as error:
            return bool(error.reply_code == 403)
        finally:
            connection.close()
        return False

    assert not refused("manager", lambda channel: channel.queue_declare("tianyu.dome.events"))
    assert not refused("consumer", lambda channel: channel.queue_declare("tianyu.dome.cpu"))
    assert not refused("consumer", lambda channel: channel.basic_get("tianyu.dome.cpu"))
    assert refused("consumer", lambda channel: channel.basic_get("tianyu.dome.events"))
    assert refused("consumer", lambda channel: channel.queue_delete("tianyu.dome.events"))
    assert refused("consumer", lambda channel: channel.queue_declare("another"))
    assert refused("manager", lambda channel: channel.queue_declare("another"))
    assert refused("consumer", lambda channel: channel.exchange_declare("tianyu.mine"))
    for role in ("publisher", "reader"):
        with pytest.raises(ProbableAuthenticationError):
            refused(role, lambda channel: channel.basic_get("tianyu.dome.cpu"))


def ask_of_rights(people: Logins) -> Finding:
    """What `tianyu doctor` says of a consumer's login."""
    with create_engine(people.url("consumer"), poolclass=NullPool).connect() as connection:
        [found] = database_checks.look_at_rights(connection)
        return found


def rights_of(people: Logins) -> dict[str, Rights]:
    with create_engine(people.administrator, poolclass=NullPool).connect() as connection:
        return granted(connection, RoleStatements.of(connection), CONSUMER)


def test_a_reader_is_stopped_who_asks_too_much(tmp_path: Path) -> None:
    with logins(MYSQL, tmp_path) as people, ExitStack() as stack:
        owner = open_engine(Settings(database_url=SecretStr(people.url("owner")), root=tmp_path))
        models.metadata.create_all(owner)
        database_roles.make(owner, people.passwords)
        with owner.connect() as connection:
            connects = RoleStatements.of(connection).limit_sessions()
            connection.execute(text(connects.replace(":", r"\:")))
            assert connection.execute(text("SELECT @@max_execution_time")).scalar() == 0  # it is for readers alone
        owner.dispose()
        reader = create_engine(people.url("reader"), poolclass=NullPool)
        with reader.connect() as connection:
            connection.execute(text(connects))
            limits = connection.execute(text("SELECT @@max_execution_time, @@max_join_size, @@sql_big_selects")).one()
            assert limits == (1000 * READER_STATEMENT_S, READER_ROWS, 0)
            opened = [stack.enter_context(reader.connect()) for _ in range(READER_CONNECTIONS - 1)]
            with pytest.raises(DBAPIError, match="1226"):
                reader.connect()
            assert opened


def assert_refused(people: Logins) -> None:
    """No role may do what is another's."""
    for role, statements in REFUSED.items():
        engine = create_engine(people.url(role), poolclass=NullPool)
        for statement in statements:
            with engine.connect() as connection, pytest.raises(DBAPIError) as refusal:  # else it is rolled back
                connection.execute(text(statement))
            assert is_denied(refusal.value), f"{role}: {statement}: {refusal.value.orig}"


def night_of(url: str) -> int:
    """Id of the observation of light frames."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        query = "SELECT observation_id FROM observation JOIN target USING (target_id) WHERE kind = 'light'"
        return int(connection.execute(text(query)).scalar_one())
