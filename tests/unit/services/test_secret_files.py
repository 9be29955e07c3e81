"""Secrets come from files; what is wrong with one is said without a word of it."""

from pathlib import Path

import pytest

from services.errors import ConfigurationError
from services.settings import as_environment, child_environment, load

HARD = "a b@:/%\"'ü"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_password_of_a_file_becomes_part_of_the_url(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "database").write_text(HARD + "\n")
    (files / "broker").write_text(HARD)
    monkeypatch.setenv("TIANYU_DATABASE_URL", "mysql+pymysql://me@db:3307/tianyu?charset=utf8mb4")
    monkeypatch.setenv("TIANYU_DATABASE_PASSWORD_FILE", str(files / "database"))
    monkeypatch.setenv("TIANYU_BROKER_URL", "amqps://me@mq/%2F")
    monkeypatch.setenv("TIANYU_BROKER_PASSWORD_FILE", str(files / "broker"))
    settings = load()
    quoted = "a%20b%40%3A%2F%25%22%27%C3%BC"
    assert settings.database_url.get_secret_value() == f"mysql+pymysql://me:{quoted}@db:3307/tianyu?charset=utf8mb4"
    assert settings.broker_url.get_secret_value() == f"amqps://me:{quoted}@mq/%2F"
    # A program that this one starts is given them once, and reads them as they are.
    environment = child_environment(settings)
    assert not [name for name in environment if name.startswith("TIANYU_") and name.endswith("PASSWORD_FILE")]
    assert environment["TIANYU_DATABASE_URL"] == as_environment(settings)["TIANYU_DATABASE_URL"]


def test_a_url_and_a_token_come_from_files(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "url").write_text("mysql+pymysql://me:secret@db/tianyu")
    (files / "token").write_text("t0ken")
    monkeypatch.delenv("TIANYU_DATABASE_URL", raising=False)
    monkeypatch.setenv("TIANYU_DATABASE_URL_FILE", str(files / "url"))
    monkeypatch.setenv("TIANYU_ALERT_TOKEN_FILE", str(files / "token"))
    settings = load()
    assert settings.database_url.get_secret_value() == "mysql+pymysql://me:secret@db/tianyu"
    assert settings.alert_token is not None
    assert settings.alert_token.get_secret_value() == "t0ken"


def test_a_run_without_servers_needs_no_password(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "database").write_text(HARD)
    monkeypatch.setenv("TIANYU_DATABASE_PASSWORD_FILE", str(files / "database"))
    assert load(database_url="sqlite:///a.db").database_url.get_secret_value() == "sqlite:///a.db"


@pytest.mark.parametrize(
    ("content", "url", "message"),
    [
        (None, "mysql+pymysql://me@db/tianyu", "DATABASE_PASSWORD_FILE: file .* cannot be read"),
        ("", "mysql+pymysql://me@db/tianyu", "DATABASE_PASSWORD_FILE: .*expected one line"),
        ("pa55word\nmore", "mysql+pymysql://me@db/tianyu", "DATABASE_PASSWORD_FILE: .*expected one line"),
        ("pa55word", "mysql+pymysql://db/tianyu", "names no user"),
        ("pa55word", "mysql+pymysql://me:other@db/tianyu", "has another"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(
    files: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, url: str, message: str
) -> None:
    if content is not None:
        (files / "database").write_text(content)
    monkeypatch.setenv("TIANYU_DATABASE_URL", url)
    monkeypatch.setenv("TIANYU_DATABASE_PASSWORD_FILE", str(files / "database"))
    with pytest.raises(ConfigurationError, match=message) as found:
        load()
    assert "pa55word" not in str(found.value)
    assert "other@" not in str(found.value)


def test_files_of_certificates_must_be_there(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIANYU_TLS_CA_FILE", str(files / "ca.pem"))
    with pytest.raises(ConfigurationError, match=r"TLS_CA_FILE: file .*ca.pem.* cannot be read"):
        load()
    monkeypatch.delenv("TIANYU_TLS_CA_FILE")
    monkeypatch.setenv("TIANYU_TLS_CERT_FILE", str(files / "me.pem"))
    with pytest.raises(ConfigurationError, match="belong together"):
        load()
