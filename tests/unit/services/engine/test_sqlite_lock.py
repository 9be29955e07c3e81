"""The write lock of the embedded database."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from schema import database


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = database.connect(f"sqlite:///{tmp_path / 'night.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE counted (number INT)"))
    return engine


def test_a_lock_that_is_not_given_back_is_told_after_the_time_for_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.begin(), engine.connect() as other:
        monkeypatch.setattr(database, "SQLITE_BUSY_TIMEOUT_S", 0.05)
        with pytest.raises(OperationalError, match="database is locked"):
            other.execute(text("INSERT INTO counted VALUES (1)"))
        driver = other.connection.driver_connection
        assert driver is not None
        assert driver.execute("PRAGMA busy_timeout").fetchone() == (50,)  # as it was set, for those who wait otherwise


def test_a_transaction_begins_when_the_one_before_it_ends(engine: Engine) -> None:
    def count() -> None:
        for _ in range(50):
            with engine.begin() as connection:
                number = connection.execute(text("SELECT coalesce(max(number), 0) FROM counted")).scalar_one()
                connection.execute(text("INSERT INTO counted VALUES (:n)"), {"n": number + 1})

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT max(number), count(*) FROM counted")).one() == (200, 200)
