"""Whatever is logged in the course of an attempt says which attempt it is of."""

import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import structlog
from pydantic import SecretStr

from schema.attempts import Claim
from services import log
from services.choices import Choices
from services.deployment import Deployment
from services.engine.consumer import worker
from services.engine.consumer.worker import Worker

CLAIM = Claim(1234, 2, 3, "talk", "{}", 1, 17, 1)
NAMED = {"pid": 1234, "command": "talk", "attempt": 2, "observation_id": 17}


def say_below() -> None:
    """Stands for what a step calls, which knows nothing of processes."""
    log.get_logger("catalogue").info("asked for stars", cells=3)


class Warn:
    """A step whose libraries speak, each by its own way."""

    read_of: ClassVar[dict[str, object]] = {}

    def start(self, _context: object, _parameters: str) -> None:
        from astropy import log as astropy_log

        log.hear_libraries()
        warnings.warn("a mean of nothing", RuntimeWarning, stacklevel=1)
        astropy_log.warning("a header that is not standard")
        logging.getLogger("some.library").error("no answer")
        logging.getLogger("some.library").log(35, "between two levels")
        raise ValueError("no more to say")


class Talk:
    """A step that logs, and ends badly, so that nothing is committed."""

    read_of: ClassVar[dict[str, object]] = {}

    def start(self, _context: object, _parameters: str) -> None:
        log.get_logger("talk").info("at work")
        say_below()
        raise ValueError("no more to say")


@pytest.fixture
def one_worker(tmp_path: Path, ready_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setitem(worker.STEPS, "talk", Talk())  # type: ignore[arg-type]  # no more of a step than is called
    one = Worker(Deployment(database_url=SecretStr(ready_sqlite_url), root=tmp_path))
    one._choices[1] = Choices()
    return one


@pytest.fixture(autouse=True)
def log_set_up_as_before() -> Iterator[None]:
    before, shown = structlog.get_config(), warnings.showwarning
    yield
    structlog.configure(**before)
    warnings.showwarning = shown
    logging.getLogger().removeHandler(log._HANDLER)


def test_lines_of_a_step_and_of_what_it_calls_name_the_attempt(
    one_worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("json")
    report = one_worker.run(CLAIM)
    assert report.failure is not None
    assert "no more to say" in report.failure.message
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["room"]) for line in lines] == [("at work", "talk"), ("asked for stars", "catalogue")]
    assert all(line.items() >= NAMED.items() for line in lines)


@pytest.mark.filterwarnings("always")
def test_lines_of_libraries_name_the_attempt(
    one_worker: Worker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(worker.STEPS, "talk", Warn())  # type: ignore[arg-type]
    log.configure("json")
    one_worker.run(CLAIM)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["room"], line["level"]) for line in lines] == [
        ("a mean of nothing", "warnings", "warning"),
        ("a header that is not standard", "astropy", "warning"),
        ("no answer", "some.library", "error"),
        ("between two levels", "some.library", "warning"),
    ]
    assert lines[0]["category"] == "RuntimeWarning"
    assert all(line.items() >= NAMED.items() for line in lines)


def test_so_they_do_as_text(one_worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("text")
    one_worker.run(CLAIM)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for name, value in NAMED.items():
        assert all(f" {name}={value} " in f"{line} " for line in lines)


def test_what_comes_after_an_attempt_does_not_name_it(one_worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    one_worker.run(CLAIM)
    say_below()
    one_worker.run(replace(CLAIM, pid=1235, attempt=1, observation_id=None))
    *_, between, first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert not between.keys() & NAMED.keys()
    for line in (first, second):
        assert line.items() >= {"pid": 1235, "attempt": 1, "command": "talk"}.items()
        assert "observation_id" not in line
