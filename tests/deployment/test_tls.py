"""TLS to database and broker by settings: who is let in, who is refused, and that nothing goes by an unknown server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from services.engine.broker import open_broker
from services.errors import TransientError
from services.operating.backup.client_programs import LOADING, Server, environment, find, options_file
from services.settings import Settings, load
from services.setup import open_database, open_engine
from tests.conftest import MARIADB, MYSQL, VARIABLES, server_url
from tests.deployment.certificates import Authority, Files
from tests.deployment.conftest import OwnBroker, definitions, new_vhost

UNKNOWN = "CERTIFICATE_VERIFY_FAILED"
KNOWN_TO_THE_SERVER = ("ssl_ca", "ssl_cert", "ssl_key")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has signed none of it."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def program(authority: Authority) -> Files:
    """What a program shows of itself."""
    return authority.issue("program")


@pytest.fixture(scope="module")
def secured(authority: Authority, server_files: Files) -> Iterator[str]:
    """The MySQL of the tests with a certificate of ours; others, who do not look at it, are not disturbed."""
    url = make_url(server_url(VARIABLES[MYSQL]))
    user = f"t_{uuid4().hex[:12]}"
    files = (authority.file, server_files.certificate, server_files.key)
    administrator = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        names = ", ".join(f"@@GLOBAL.{name}" for name in KNOWN_TO_THE_SERVER)
        before = connection.execute(text(f"SELECT {names}")).one()
        _reload(administrator, files)
        connection.execute(text(f"CREATE USER {user} IDENTIFIED BY 'secret' REQUIRE X509"))
        yield url.set(username=user, password="secret", database="information_schema").render_as_string(False)
        connection.execute(text(f"DROP USER {user}"))
        _reload(administrator, before)


def _reload(administrator: object, files: object) -> None:
    with administrator.connect() as connection:  # type: ignore[attr-defined]
        for name, path in zip(KNOWN_TO_THE_SERVER, files, strict=True):  # type: ignore[call-overload]
            connection.execute(text(f"SET GLOBAL {name} = :path"), {"path": path if path is None else str(path)})
        connection.execute(text("ALTER INSTANCE RELOAD TLS"))


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def by(environment: pytest.MonkeyPatch, **variables: object) -> Settings:
    """Settings of these variables."""
    for name, value in variables.items():
        environment.setenv(f"TIANYU_{name.upper()}", str(value))
    return load()


def test_a_database_is_believed_by_its_authority_and_name(
    secured: str, authority: Authority, stranger: Authority, program: Files, settings: pytest.MonkeyPatch
) -> None:
    own = {"tls_cert_file": program.certificate, "tls_key_file": program.key}
    good = by(settings, database_url=secured, tls_ca_file=authority.file, **own)
    engine = open_engine(good)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_version'")).one()[1].startswith("TLS")
    engine.dispose()
    with pytest.raises(TransientError, match=UNKNOWN):  # also where the name is another than that of the certificate
        open_database(by(settings, database_url=secured.replace("127.0.0.1", "localhost")))
    with pytest.raises(TransientError, match=UNKNOWN):
        open_database(by(settings, database_url=secured, tls_ca_file=stranger.file))
    settings.delenv("TIANYU_TLS_CA_FILE")
    with pytest.raises(TransientError, match=UNKNOWN):  # the system's authorities know nothing of ours
        open_database(by(settings, database_tls="verify"))


def test_programs_of_a_backup_believe_the_same_server(
    secured: str, authority: Authority, stranger: Authority, program: Files, settings: pytest.MonkeyPatch
) -> None:
    own = {"tls_cert_file": program.certificate, "tls_key_file": program.key}
    known = by(settings, database_url=secured, tls_ca_file=authority.file, **own)

    def ask(asked: Settings) -> subprocess.CompletedProcess[str]:
        url = make_url(asked.database_url.get_secret_value())
        client = find(LOADING[MYSQL], MYSQL, "this is tried")
        with options_file(url, client, Server(MYSQL, "", encrypted=True)) as connecting:
            words = [client.path, connecting, "--execute=SHOW SESSION STATUS LIKE 'Ssl_version'"]
            return subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)

    answer = ask(known)
    assert "TLSv1" in answer.stdout, answer.stderr
    for wrong in (
        by(settings, database_url=secured.replace("127.0.0.1", "localhost")),  # another name than the certificate's
        by(settings, database_url=secured, tls_ca_file=stranger.file),
    ):
        refused = ask(wrong)
        assert (refused.stdout, refused.returncode) == ("", 1)
        assert "certificate" in refused.stderr.lower()


def test_who_shows_no_certificate_is_refused(secured: str, authority: Authority, settings: pytest.MonkeyPatch) -> None:
    with pytest.raises(Exception, match="Access denied"):
        open_database(by(settings, database_url=secured, tls_ca_file=authority.file))


def test_no_password_goes_to_a_database_without_tls(authority: Authority, settings: pytest.MonkeyPatch) -> None:
    url = make_url(server_url(VARIABLES[MARIADB])).set(database="mysql").render_as_string(False)
    with pytest.raises(TransientError, match="SSL"):
        open_database(by(settings, database_url=url, tls_ca_file=authority.file))


def test_a_broker_is_believed_by_its_authority(
    own_broker: OwnBroker, authority: Authority, stranger: Authority, program: Files, settings: pytest.MonkeyPatch
) -> None:
    vhost = new_vhost()
    own_broker.users({**definitions(vhost, {}, ""), "users": [{"name": vhost, "password": "secret", "tags": ""}]})
    own_broker.users({"permissions": [{"user": vhost, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}]})
    url = own_broker.url(vhost, "secret", vhost, tls=True)
    own = {"tls_cert_file": program.certificate, "tls_key_file": program.key}
    broker = open_broker(by(settings, broker_url=url, tls_ca_file=authority.file, **own))
    broker.declare("tianyu.dome.cpu")
    assert broker.depth("tianyu.dome.cpu") == 0
    broker.close()
    for wrong in (stranger.file, None):
        if wrong is None:
            settings.delenv("TIANYU_TLS_CA_FILE")
        with pytest.raises(TransientError, match=UNKNOWN):
            open_broker(by(settings, **({} if wrong is None else {"tls_ca_file": wrong})))
