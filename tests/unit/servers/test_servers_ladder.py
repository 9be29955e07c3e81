"""The order of the ways to a server, on servers that are only names."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers import containers, daemon, env, ladder, probe
from tests.servers.errors import CannotStart, NoServer, Refused
from tests.servers.kinds import MARIADB, Kind, standard_url

GIVEN = "mysql+pymysql://root@elsewhere:3306/"
CONTAINER = "mysql+pymysql://root@127.0.0.1:40001/"
PRIVATE = "mysql+pymysql://root@127.0.0.1:40002/"


@pytest.fixture
def alive() -> set[str]:
    """URLs that let us in."""
    return set()


@pytest.fixture
def kind(alive: set[str]) -> Kind:
    def answers(url: str) -> None:
        if url not in alive:
            raise Refused(f"{url} is dead")

    return replace(MARIADB, answers=answers, start=lambda folder: PRIVATE)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> str:
        raise CannotStart("no engine answers")

    monkeypatch.setattr(containers, "start", start)


def quiet(_line: str) -> None:
    pass


def test_a_given_server_is_taken_first(kind: Kind, alive: set[str], tmp_path: Path) -> None:
    alive |= {GIVEN, standard_url(kind, {})}
    assert ladder.find(kind, tmp_path, quiet, {kind.variable: GIVEN}) == GIVEN


def test_a_wrong_given_server_is_an_error_although_others_live(kind: Kind, alive: set[str], tmp_path: Path) -> None:
    alive |= {standard_url(kind, {})}
    with pytest.raises(NoServer, match=f"{kind.variable} leads to no MariaDB: .* is dead; correct or unset it"):
        ladder.find(kind, tmp_path, quiet, {kind.variable: GIVEN})


def test_the_standard_port_comes_before_an_engine(kind: Kind, alive: set[str], tmp_path: Path) -> None:
    alive |= {standard_url(kind, {})}
    assert ladder.find(kind, tmp_path, quiet, {}) == "mysql+pymysql://root@127.0.0.1:3306/"


def test_the_standard_port_can_be_moved() -> None:
    assert standard_url(MARIADB, {"TIANYU_TEST_STANDARD_DB_PORT": "9"}) == "mysql+pymysql://root@127.0.0.1:9/"


def test_an_engine_comes_before_a_private_server(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "start", lambda *_: CONTAINER)
    assert ladder.find(kind, tmp_path, quiet, {}) == CONTAINER


@pytest.mark.usefixtures("no_engine")
def test_a_private_server_gets_a_folder_of_its_own(kind: Kind, tmp_path: Path) -> None:
    assert ladder.find(kind, tmp_path, quiet, {}) == PRIVATE
    assert (tmp_path / "mariadb").is_dir()


@pytest.mark.usefixtures("no_engine")
def test_a_private_server_that_lives_is_taken_again(
    kind: Kind, alive: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive |= {PRIVATE}
    monkeypatch.setattr(daemon, "url", lambda folder: PRIVATE if folder == tmp_path / "mariadb" else None)
    assert ladder.find(replace(kind, start=lambda folder: "started again"), tmp_path, quiet, {}) == PRIVATE


@pytest.mark.usefixtures("no_engine")
def test_the_message_tells_each_end_and_what_to_do(kind: Kind, tmp_path: Path) -> None:
    def start(_folder: Path) -> str:
        raise CannotStart("mariadbd is not installed")

    with pytest.raises(NoServer) as caught:
        ladder.find(replace(kind, start=start), tmp_path, quiet, {})
    message = str(caught.value)
    for part in ("127.0.0.1:3306/ is dead", "none is running", "no engine answers", "not installed", kind.variable):
        assert part in message


@pytest.mark.parametrize(
    ("flavour", "main"),
    [("mysql", "mysql+pymysql://root@127.0.0.1:3306/"), ("mariadb", "mysql+pymysql://root@127.0.0.1:3306/")],
)
def test_the_main_server_is_the_standing_one_of_either_kind(
    flavour: str, main: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(kind: Kind, *_: object) -> str:
        return main if kind.name == flavour else f"private {kind.name}"

    monkeypatch.setattr(ladder, "find", find)
    urls = ladder.find_all(tmp_path, quiet, {})
    assert urls[env.DATABASE] == main
    assert {urls[env.MARIADB], urls[env.MYSQL]} == {main, f"private {'mariadb' if flavour == 'mysql' else 'mysql'}"}


def test_a_given_main_server_serves_its_kind_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "flavour", lambda url: "mysql")
    monkeypatch.setattr(ladder, "find", lambda kind, home, say, environ: environ.get(kind.variable, kind.name))
    urls = ladder.find_all(tmp_path, quiet, {env.DATABASE: GIVEN})
    assert urls == {env.DATABASE: GIVEN, env.MARIADB: "mariadb", env.MYSQL: GIVEN, env.BROKER: "rabbitmq"}
