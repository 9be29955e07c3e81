"""Limits of attempts: what the settings name, and of memory a share of the machine where they name nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.deployment import Deployment
from services.engine.consumer import limits
from services.engine.consumer.limits import MEMORY_SHARE, Limits, machine_bytes

MACHINE_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file in which a container's limit stands; there is none at first."""
    monkeypatch.setattr(limits, "CONTAINER_LIMIT", tmp_path / "memory.max")
    machine_bytes.cache_clear()
    yield tmp_path / "memory.max"
    machine_bytes.cache_clear()


def test_no_worker_takes_the_whole_machine(container: Path) -> None:
    assert Limits.of(Deployment(), "stack").memory_bytes == int(MEMORY_SHARE * MACHINE_BYTES)


@pytest.mark.parametrize(("said", "held"), [("1000000\n", 1_000_000), ("max\n", MACHINE_BYTES)])
def test_nor_the_whole_container(container: Path, said: str, held: int) -> None:
    container.write_text(said)
    assert Limits.of(Deployment(), "stack").memory_bytes == int(MEMORY_SHARE * held)


def test_settings_go_first(container: Path) -> None:
    deployment = Deployment(memory_limit_bytes={"default": 5, "stack": 7})
    assert Limits.of(deployment, "stack").memory_bytes == 7
    assert Limits.of(deployment, "align").memory_bytes == 5
