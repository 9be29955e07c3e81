"""`doctor` on what surrounds Tianyu: each check is content, and finds what is wrong."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import CollectorRegistry, Gauge
from pydantic import SecretStr
from sqlalchemy import update
from sqlalchemy.orm import Session

from schema import database
from schema.base import utc_now
from schema.image import CALIBRATED
from schema.queries import images, old_attempts
from schema.retention import RetentionRun
from services.deployment import Retention
from services.operating import database_checks
from services.operating.finding import Finding
from services.operating.host_checks import look_at_host
from services.operating.metrics.endpoint import answering
from services.settings import Settings
from services.setup import initialise, open_engine
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID


@pytest.fixture
def settings(tmp_path: Path, ready_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(database_url=SecretStr(ready_sqlite_url), root=tmp_path)


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    engine = open_engine(settings)
    initialise(settings, engine)
    with database.session_factory(engine)() as session:
        yield session
    engine.dispose()


def host(settings: Settings, environment: dict[str, str] | None = None, **changes: Any) -> dict[str, Finding]:
    found = look_at_host(settings.model_copy(update=changes), environment or {})
    return {one.subject.partition(" at ")[0]: one for one in found}


def asked(session: Session, settings: Settings, **changes: Any) -> dict[str, Finding]:
    session.commit()
    engine = session.get_bind()
    with engine.connect() as connection:  # type: ignore[union-attr]
        found = database_checks.ask_database(settings.model_copy(update=changes), engine, connection)  # type: ignore[arg-type]
        return {one.subject: one for one in found}


def test_nothing_is_told_of_what_is_not_used(settings: Settings, session: Session) -> None:
    assert host(settings) == asked(session, settings) == {}


def test_a_secret_that_everybody_may_read(settings: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    secret.chmod(0o640)
    named = {"TIANYU_DATABASE_PASSWORD_FILE": str(secret)}
    assert host(settings, named)["secrets"].ok
    secret.chmod(0o644)
    wrong = host(settings, named)["secrets"]
    assert f"{secret} (TIANYU_DATABASE_PASSWORD_FILE, mode 0644)" in wrong.found
    assert "chmod" in wrong.remedy
    assert "hunter2" not in wrong.found
    assert not host(settings, tls_key_file=secret)["secrets"].ok


def test_settings_with_a_password_that_everybody_may_read(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "tianyu.toml").write_text('database_url = "mysql+pymysql://tianyu:hunter2@db/tianyu"\n')
    (tmp_path / "tianyu.toml").chmod(0o644)
    url = SecretStr("mysql+pymysql://tianyu:hunter2@db/tianyu")
    assert not host(settings, database_url=url)["secrets"].ok
    (tmp_path / "tianyu.toml").chmod(0o600)
    assert host(settings, database_url=url)["secrets"].ok


def certificate(path: Path, days: float) -> Path:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=900)).not_valid_after(now + timedelta(days=days))
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


def test_a_certificate_that_ends_soon(settings: Settings, tmp_path: Path) -> None:
    assert host(settings, tls_ca_file=certificate(tmp_path / "ca.pem", 100.0))["certificates"].ok
    soon = host(settings, tls_ca_file=certificate(tmp_path / "ca.pem", 5.0))["certificates"]
    assert "the first of them ends" in soon.found
    assert soon.remedy.startswith("renew it")
    (tmp_path / "ca.pem").write_text("no certificate")
    assert not host(settings, tls_cert_file=tmp_path / "ca.pem")["certificates"].ok


def test_a_port_of_the_metrics_that_another_program_has(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        assert not (taken := host(settings, metrics_listen=listen)["metrics"]).ok
        assert "no program of Tianyu answers" in taken.found
    assert host(settings, metrics_listen=listen)["metrics"].found.startswith("free")
    registry = CollectorRegistry()
    Gauge("tianyu_trial", "of a test", registry=registry)
    with answering(listen, registry):
        assert host(settings, metrics_listen=listen)["metrics"].found == "a program of Tianyu answers"


def test_clocks_that_differ(settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    now = database_checks.time.time
    for ahead, good in ((0.0, True), (-30.0, False), (30.0, False)):
        monkeypatch.setattr(database_checks.time, "time", lambda ahead=ahead: now() + ahead)
        found = database_checks.look_at_clock(session.connection())
        assert found.ok == good, found
        assert ("NTP" in found.remedy) == (not good)


def test_a_root_where_the_images_of_the_site_are_not(settings: Settings, session: Session, tmp_path: Path) -> None:
    seen = made_up.add_observation(session)
    made_up.add_process(session, GRAPH_PID, "calibrate", "succeeded", seen)
    path = f"calibrated/{seen}/{GRAPH_PID}.fits"
    image = {"kind": CALIBRATED, "site_id": 1, "path": path, "pid": GRAPH_PID, "graph_pid": GRAPH_PID}
    images.add_image(session, **image, observation_id=seen)
    wrong = asked(session, settings)["site's files"]
    assert path in wrong.found
    assert "one file system" in wrong.remedy
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    assert asked(session, settings)["site's files"].ok


def test_retention_that_nobody_carries_out(settings: Settings, session: Session) -> None:
    policy = {"retention": Retention(calibrated_days=30.0)}

    def told() -> Finding:
        return asked(session, settings, **policy)["retention"]

    assert "never carried out" in told().found
    assert "`tianyu gc --policy`" in told().remedy
    run = {"site_id": 1, "host": "h", "started_at": utc_now(), "files": 3, "size_bytes": 9}
    old_attempts.record(session, **run, deleted_rows=0, deleted_attempts=0, failures=None)
    assert told().ok
    session.execute(update(RetentionRun).values(finished_at=utc_now(-50 * 3600.0)))
    assert not told().ok
    session.execute(update(RetentionRun).values(finished_at=utc_now(), failures="file 'x' cannot be removed"))
    assert "file 'x' cannot be removed" in told().found
    assert not told().ok
