"""A night whose disk is sick for a while: no attempt is used up, and its rows are those of a night that was well."""

from pathlib import Path
from typing import Any

import pytest

from services import image_store
from tests.integration.small_night import Night, simulate_night

FULL = Path("/dev/full")
FAILURES = 7  # more than a process has attempts


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night with masters, and none of its work done; its images lie apart from its database."""
    folder = tmp_path_factory.mktemp("night")
    raw = simulate_night(folder / "raw")
    (folder / "work" / "images").mkdir(parents=True)
    night = Night.open(folder / "work", root=folder / "work" / "images")
    night.publish(raw)
    return night


@pytest.fixture(scope="module")
def undisturbed(published: Night, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("undisturbed") / "work"
    night = copy_of(published, folder)
    night.work()
    assert outcome(night)
    return outcome(night)


def copy_of(night: Night, folder: Path) -> Night:
    work = Night(night.settings.model_copy(update={"root": night.settings.root.parent}), night.sessions)
    return work.copy(folder, root=folder / "images")


def outcome(night: Night) -> list[Any]:
    """Light curves, and in which state each process is."""
    return [night.light_curves(), night.states(night.facts().graph_pid), night.states(night.facts("bias").graph_pid)]


class ReadOnly:
    """The root is not there: writing fails, and so does reading."""

    def __init__(self, root: Path, _: pytest.MonkeyPatch) -> None:
        self.root, self.elsewhere = root, root.with_name("elsewhere")

    def fall_ill(self) -> None:
        self.root.rename(self.elsewhere)

    def recover(self) -> None:
        self.elsewhere.rename(self.root)


class Full:
    """Each file ends with the error that a full disk gives."""

    def __init__(self, _: Path, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.write = patch, image_store.write_fits

    def fall_ill(self) -> None:
        def no_room(path: Path, *contents: Any) -> None:
            path.write_bytes(b"SIMPLE  =")
            with FULL.open("wb", buffering=0) as file:
                file.write(b"SIMPLE  =")

        self.patch.setattr(image_store, "write_fits", no_room)

    def recover(self) -> None:
        self.patch.setattr(image_store, "write_fits", self.write)


@pytest.mark.parametrize("sickness", [ReadOnly, Full])
@pytest.mark.parametrize("before", ["masters", "stack"])
def test_a_disk_that_is_sick_for_a_while_costs_time_alone(
    published: Night,
    undisturbed: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sickness: type[ReadOnly] | type[Full],
    before: str,
) -> None:
    night = copy_of(published, tmp_path / "work")
    disk = sickness(night.settings.root, monkeypatch)
    sick, ran = False, 0

    def after(command: str) -> None:
        nonlocal sick, ran
        ran += sick
        if ran == FAILURES:
            disk.recover()
            sick, ran = False, 0
        elif command == "select" and before == "stack":
            disk.fall_ill()
            sick = True

    if before == "masters":
        disk.fall_ill()
        sick = True
    night.work(after)
    spared = night.rows("SELECT pid, error FROM process_attempt WHERE error_class = 'surroundings'")
    assert len(spared) >= FAILURES - 1
    assert max(len([pid for pid, _ in spared if pid == one]) for one, _ in spared) > 1
    assert night.rows("SELECT pid FROM process WHERE status = 'failed'") == []
    assert outcome(night) == undisturbed
