"""The fixtures give what they promise, on the real servers."""

from pathlib import Path

import pika
import pytest
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from tests.conftest import fresh_database, server_url
from tests.servers import env, probe


def test_each_engine_is_the_one_that_it_is_called(each_database_url: str, request: pytest.FixtureRequest) -> None:
    engine = request.node.callspec.params["each_database_url"]
    if engine == "sqlite":
        assert make_url(each_database_url).get_backend_name() == "sqlite"
    else:
        assert probe.flavour(each_database_url) == engine


def test_a_database_is_empty_and_can_be_filled(each_database_url: str) -> None:
    database = create_engine(each_database_url)
    assert inspect(database).get_table_names() == []
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    assert inspect(database).get_table_names() == ["t"]
    database.dispose()


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
@pytest.mark.server
def test_a_database_is_dropped_although_a_session_holds_it(engine: str, tmp_path: Path) -> None:
    with fresh_database(engine, tmp_path) as url:
        database = create_engine(url)
        holder = database.connect()
        holder.execute(text("CREATE TABLE t (x INTEGER)"))
        holder.execute(text("SELECT * FROM t"))  # the open transaction keeps a metadata lock
    with pytest.raises(DBAPIError):
        holder.execute(text("SELECT 1"))
    holder.invalidate()
    with pytest.raises(DBAPIError, match="Unknown database"):
        database.connect()
    database.dispose()


def test_the_main_database_is_on_a_server(database_url: str) -> None:
    assert probe.flavour(database_url) in ("mariadb", "mysql")


def test_the_broker_keeps_a_message(broker_url: str, unique_site: str) -> None:
    queue = f"tianyu.{unique_site}.cpu"
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", queue, b"body", mandatory=True)
        _, _, body = channel.basic_get(queue, auto_ack=True)
    assert body == b"body"


def test_a_missing_server_fails_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(env.MYSQL, raising=False)
    monkeypatch.setattr(env, "FILE", tmp_path / "none")
    with pytest.raises(pytest.fail.Exception, match=r"TIANYU_TEST_MYSQL_URL is not set .* run `make test`"):
        server_url(env.MYSQL)
