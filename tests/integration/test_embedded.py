"""The consumer of `tianyu run`: it waits for the database, and never outlives the run."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from schema import database
from services.engine.embedded import DATABASE_FILE, RELEASE, embedded_settings, process_tree
from services.settings import as_environment

TIMEOUT_S = 120.0  # of a program that leaves by itself; the imports of a busy machine take a while


def _consumer(workdir: Path, *groups: str, **variables: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "services.engine.embedded", "1", *(groups or ["cpu"])],
        env=os.environ | as_environment(embedded_settings(workdir)) | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_run_that_fails_before_it_began_leaves_no_consumer(tmp_path: Path) -> None:
    consumer = _consumer(tmp_path / "work")
    output, _ = consumer.communicate(timeout=TIMEOUT_S)  # closes its input
    assert consumer.returncode == 0, output
    assert b"consumer stopped" in output


def test_a_run_that_ends_without_a_word_takes_its_consumer_with_it(tmp_path: Path) -> None:
    """However it ends, its end of the pipe closes. Its consumer has the groups that it is told, and listens nowhere."""
    workdir = tmp_path / "work"
    with process_tree(embedded_settings(workdir), 1):
        pass
    with socket.socket() as another:  # as a manager of this machine has the port
        another.bind(("127.0.0.1", 0))
        another.listen()
        taken = another.getsockname()[1]
        _assert_works_and_leaves(_consumer(workdir, "cpu", "gpu", TIANYU_METRICS_LISTEN=str(taken)))


def test_the_file_of_the_database_is_whole_when_a_run_has_ended(tmp_path: Path) -> None:
    workdir, copy = tmp_path / "work", tmp_path / "copy.db"
    with process_tree(embedded_settings(workdir), 1) as tree:
        log = workdir / f"{DATABASE_FILE}-wal"
        with tree.engine.begin() as connection:
            connection.execute(text("INSERT INTO site (name, root) VALUES ('another', '/nowhere')"))
        assert log.stat().st_size > 0
    shutil.copyfile(workdir / DATABASE_FILE, copy)  # alone
    with closing(sqlite3.connect(copy)) as connection:
        assert ("another",) in connection.execute("SELECT name FROM site").fetchall()
    assert not log.exists() or log.stat().st_size == 0


def test_a_log_that_others_read_stays_until_they_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOG_PATIENCE_S", 0.1)
    file, log = tmp_path / "some.db", tmp_path / "some.db-wal"
    database.write_log_back(file)
    assert not file.exists()
    with closing(sqlite3.connect(file, isolation_level=None)) as writer, closing(sqlite3.connect(file)) as reader:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE seen (number INTEGER)")
        reader.execute("BEGIN")
        assert reader.execute("SELECT COUNT(*) FROM seen").fetchone() == (0,)
        writer.execute("INSERT INTO seen VALUES (1)")
        database.write_log_back(file)
        assert log.stat().st_size > 0
        assert reader.execute("SELECT COUNT(*) FROM seen").fetchone() == (0,)
        reader.execute("COMMIT")
        database.write_log_back(file)
        assert log.stat().st_size == 0


def _assert_works_and_leaves(consumer: "subprocess.Popen[bytes]") -> None:
    assert consumer.stdin is not None
    assert consumer.stdout is not None
    consumer.stdin.write(RELEASE)
    consumer.stdin.flush()
    ready = next(line for line in consumer.stdout if b"consumer ready" in line)
    assert b"tianyu.local.cpu" in ready
    assert b"tianyu.local.gpu" in ready
    output, _ = consumer.communicate(timeout=TIMEOUT_S)
    assert consumer.returncode == 0, output


def test_settings_that_are_wrong_are_said_in_a_sentence(tmp_path: Path) -> None:
    consumer = _consumer(tmp_path / "work", TIANYU_LEASE_S="-1")
    output, _ = consumer.communicate(timeout=TIMEOUT_S)
    assert consumer.returncode == 1
    assert b"consumer: settings are wrong: lease_s" in output
    assert b"Traceback" not in output


@pytest.mark.parametrize("name", ["plain", "a b", "50%25", "why?", "x#y@z:1", "ümläut+&;'"])
def test_the_name_of_the_working_folder_is_not_taken_for_a_part_of_a_url(tmp_path: Path, name: str) -> None:
    settings = embedded_settings(tmp_path / name)
    assert make_url(settings.database_url.get_secret_value()).database == str(tmp_path / name / "tianyu.db")
