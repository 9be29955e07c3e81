"""Views stay where they are as they should be; what holds up their change is named, and takes nothing away."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from pydantic import SecretStr
from sqlalchemy import Engine, event, func, inspect, make_url, select, text

from schema import database, versions, views
from services.errors import TransientError
from services.operating.doctor import examine
from services.settings import Settings
from services.setup import initialise

SERVERS = pytest.mark.parametrize("each_ready_url", ["mariadb", "mysql"], indirect=True)


@pytest.fixture
def engine(each_ready_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(versions, "LOCK_WAIT_S", 1)
    engine = database.connect(each_ready_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(each_ready_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=SecretStr(each_ready_url), root=tmp_path / "root")


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another Tianyu, whose light curves have a column more."""
    words = views.LIGHT_CURVE.replace("AS usable", "AS usable, f.flag + 0 AS plain_flag")
    monkeypatch.setitem(views.VIEWS, "light_curve", words)


def finding(settings: Settings) -> tuple[bool, str]:
    """What `doctor` finds of the views."""
    [found] = [found for found in examine(settings) if found.subject == "views"]
    return found.ok, found.found


def columns(engine: Engine) -> list[str]:
    with engine.connect().execution_options(**database.READ_ONLY) as connection:
        return list(connection.execute(text("SELECT * FROM light_curve")).keys())


def test_views_that_are_as_they_should_be_are_not_touched(engine: Engine, settings: Settings) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: statements.append(statement))
    initialise(settings, engine)
    assert statements
    assert not [one for one in statements if one.split()[0] in ("CREATE", "DROP", "ALTER")]
    assert finding(settings)[0]


@SERVERS
def test_an_open_notebook_does_not_hold_up_what_changes_nothing(engine: Engine, settings: Settings) -> None:
    with engine.connect() as notebook:
        notebook.execute(text("SELECT * FROM light_curve"))
        initialise(settings, engine)


@pytest.fixture
def engine_user(engine: Engine) -> Iterator[str]:
    """URL of a user with the rights of manager and consumers: it may not see how views are defined."""
    name = f"tianyu_{uuid4().hex[:16]}"
    with engine.begin() as administrator:
        administrator.execute(text(f"CREATE USER {name}@'%' IDENTIFIED BY 'secret'"))
        administrator.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{engine.url.database}`.* TO {name}@'%'"))
    yield engine.url.set(username=name, password="secret").render_as_string(hide_password=False)
    with engine.begin() as administrator:
        administrator.execute(text(f"DROP USER {name}@'%'"))


@SERVERS
def test_who_may_not_see_definitions_finds_the_views(engine_user: str, tmp_path: Path) -> None:
    assert finding(Settings(database_url=SecretStr(engine_user), root=tmp_path))[0]


@SERVERS
@pytest.mark.usefixtures("changed")
def test_who_holds_up_a_change_is_not_shown_to_everybody(engine: Engine, engine_user: str, tmp_path: Path) -> None:
    with engine.begin() as administrator:
        rights = "CREATE, ALTER, DROP, INDEX, REFERENCES, CREATE VIEW"
        administrator.execute(
            text(f"GRANT {rights} ON `{engine.url.database}`.* TO {make_url(engine_user).username}@'%'")
        )
    with engine.connect() as notebook:
        notebook.execute(text("SELECT * FROM light_curve"))
        with pytest.raises(TransientError, match="with the right PROCESS"):
            initialise(Settings(database_url=SecretStr(engine_user), root=tmp_path), database.connect(engine_user))


@SERVERS
@pytest.mark.usefixtures("changed")
def test_an_open_notebook_is_named_and_the_view_is_never_lost(engine: Engine, settings: Settings) -> None:
    with engine.connect() as notebook:
        notebook.execute(text("SELECT * FROM light_curve"))
        number = notebook.scalar(select(func.connection_id()))
        with pytest.raises(TransientError, match=rf"session {number} of root@.*\(KILL {number}\).*`tianyu init` again"):
            initialise(settings, engine)
        assert "plain_flag" not in columns(engine)  # nobody waits behind it
    assert finding(settings) == (False, "light_curve (of another Tianyu, or changed)")
    initialise(settings, engine)
    assert "plain_flag" in columns(engine)
    assert finding(settings)[0]


@pytest.mark.parametrize("each_database_url", ["mariadb", "mysql"], indirect=True)
def test_an_open_notebook_is_named_before_an_upgrade_begins(
    each_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "LOCK_WAIT_S", 1)
    engine = database.connect(each_database_url)
    config = versions.alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
    settings = Settings(database_url=SecretStr(each_database_url), root=tmp_path)
    with engine.connect() as notebook:
        notebook.execute(text("SELECT * FROM process"))
        with pytest.raises(TransientError, match="another session's open transaction holds up"):
            initialise(settings, engine)
        with engine.connect() as connection:
            assert not inspect(connection).has_table("made_view")  # the first change of the upgrade
    initialise(settings, engine)
    assert finding(settings)[0]
    engine.dispose()


@pytest.mark.usefixtures("changed")
def test_a_new_definition_takes_the_place_of_the_old_one(engine: Engine, settings: Settings) -> None:
    initialise(settings, engine)
    assert "plain_flag" in columns(engine)


def test_a_view_that_is_missing_is_found_and_made(engine: Engine, settings: Settings) -> None:
    initialise(settings, engine)
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW light_curve"))
    assert finding(settings) == (False, "light_curve (missing)")
    initialise(settings, engine)
    assert finding(settings)[0]
    assert "usable" in columns(engine)


def test_a_view_that_somebody_changed_is_found_and_made_again(engine: Engine, settings: Settings) -> None:
    initialise(settings, engine)
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW light_curve"))
        connection.execute(text("CREATE VIEW light_curve AS SELECT 1 AS one"))
    assert finding(settings) == (False, "light_curve (of another Tianyu, or changed)")
    initialise(settings, engine)
    assert "usable" in columns(engine)


def test_a_table_that_is_missing_is_found(engine: Engine, settings: Settings) -> None:
    initialise(settings, engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE zero_point_star"))
    [found] = [found for found in examine(settings) if found.subject == "tables"]
    assert not found.ok
    assert found.found == "missing: zero_point_star"


@pytest.mark.parametrize("each_ready_url", ["sqlite"], indirect=True)
def test_on_sqlite_a_change_that_fails_leaves_the_view(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = columns(engine)
    monkeypatch.setitem(views.VIEWS, "light_curve", "CREATE VIEW light_curve AS SELECT no SENSE")
    monkeypatch.setitem(views.VIEWS, "frame", "CREATE VIEW frame AS SELECT FROM")
    with pytest.raises(TransientError, match="syntax error"):
        initialise(settings, engine)
    assert columns(engine) == before
