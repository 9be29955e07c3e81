"""`doctor` on services: who is alive for the work that waits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from pydantic import SecretStr
from sqlalchemy.orm import Session

from schema import database
from schema.processes import PausedGroup, ProcessAttempt, ProcessGroup, Site
from schema.queries.services import ACTIVE, CONSUMER, MANAGER, STANDBY, Presence, Trouble, announce
from services.operating.doctor import examine
from services.operating.finding import Finding
from services.settings import Settings
from services.setup import initialise, open_engine
from services.sky.catalogue import CatalogueStars
from services.sky.catalogue.opening import open_cells
from tests.unit.services import made_up
from tests.unit.services.made_up import GRAPH_PID


@pytest.fixture
def settings(tmp_path: Path, ready_sqlite_url: str) -> Settings:
    return Settings(
        database_url=SecretStr(ready_sqlite_url),
        root=tmp_path,
        groups={"stack": "memory"},
    )


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    engine = open_engine(settings)
    initialise(settings, engine)
    with database.session_factory(engine)() as session:
        yield session
    engine.dispose()


def services(settings: Settings, session: Session) -> dict[str, list[Finding]]:
    """What is found of the manager and of each group."""
    session.commit()
    found: dict[str, list[Finding]] = {}
    for finding in examine(settings):
        found.setdefault(finding.subject, []).append(finding)
    return {subject: findings for subject, findings in found.items() if subject.startswith(("manager", "group "))}


def add_work(session: Session, group: str = "memory", state: str = "waiting") -> None:
    group_id = session.query(ProcessGroup.group_id).filter_by(name=group).scalar()
    made_up.add_process(session, GRAPH_PID, "stack", state, made_up.add_observation(session))
    session.query(made_up.Process).update({"group_id": group_id})


def start(session: Session, kind: str, name: str, state: str = ACTIVE, groups: tuple[str, ...] = ()) -> None:
    site, slots = ("local", 2) if kind == CONSUMER else (None, 0)
    announce(session, Presence(name, kind, f"{name}-host", "0.1.0", site, groups, slots), state, 60.0)


def test_nobody_need_be_alive_where_nothing_waits(settings: Settings, session: Session) -> None:
    found = services(settings, session)
    assert found.keys() == {"manager", "group cpu", "group memory"}
    assert all(finding.ok for findings in found.values() for finding in findings)
    assert "no manager is active" in found["manager"][0].found


def test_work_for_which_nobody_is_alive(settings: Settings, session: Session) -> None:
    add_work(session)
    found = services(settings, session)
    [manager], [group] = found["manager"], found["group memory"]
    assert manager.remedy.startswith("start `tianyu manager`")
    assert group.found == "1 process waits for group 'memory' of site local and no consumer is alive"
    assert group.remedy.startswith("start `tianyu consumer --group memory`")
    assert found["group cpu"][0].ok


@pytest.mark.parametrize(("ready", "said"), [(0, "80 processes wait for"), (1, "1 process waits for")])
def test_work_that_waits_for_other_work_is_told_too(
    settings: Settings, session: Session, ready: int, said: str
) -> None:
    observation = made_up.add_observation(session)
    for number in range(80 + ready):
        made_up.add_process(session, GRAPH_PID + number, "stack", "waiting", observation)
    group_id = session.query(ProcessGroup.group_id).filter_by(name="memory").scalar()
    session.query(made_up.Process).update({"group_id": group_id, "pending": 1})
    session.query(made_up.Process).filter(made_up.Process.pid >= GRAPH_PID + 80).update({"pending": 0})
    [group] = services(settings, session)["group memory"]
    others = ", 80 more for other processes first" if ready else ", and for other processes first"
    assert group.found == f"{said} group 'memory' of site local{others} and no consumer is alive"
    assert group.remedy.startswith("start `tianyu consumer --group memory`")


def test_work_with_all_that_it_needs(settings: Settings, session: Session) -> None:
    add_work(session)
    start(session, MANAGER, "one")
    start(session, MANAGER, "two", STANDBY)
    start(session, CONSUMER, "three", groups=("memory", "cpu"))
    found = services(settings, session)
    assert all(finding.ok for findings in found.values() for finding in findings)
    assert found["manager"][0].found == "active on one-host; 1 stand by"
    assert "consumers alive: 1, their slots: 2, processes at work: 0" in found["group memory"][0].found


def test_a_group_that_is_paused(settings: Settings, session: Session) -> None:
    add_work(session, "cpu")
    group_id = session.query(ProcessGroup.group_id).filter_by(name="cpu").scalar()
    session.add(PausedGroup(site_id=1, group_id=group_id, paused_at=made_up.BEGAN))
    start(session, MANAGER, "one")
    start(session, CONSUMER, "three", groups=("cpu",))
    paused, alive = services(settings, session)["group cpu"]
    assert paused.found == "paused since 2024-03-04 20:00:00 UTC; 1 process waits for it"
    assert "`tianyu resume cpu`" in paused.remedy
    assert alive.ok


def test_two_active_managers_are_a_fault(settings: Settings, session: Session) -> None:
    start(session, MANAGER, "one")
    start(session, MANAGER, "two")
    [finding] = services(settings, session)["manager"]
    assert finding.found.startswith("2 managers say that they are active, on one-host, two-host")
    assert "stop one" in finding.remedy


def test_what_hinders_services_of_this_site_is_a_fault_while_it_lasts(settings: Settings, session: Session) -> None:
    session.add(Site(name="there", root="/there"))
    session.flush()
    lasts, over = Trouble("disk full", 60.0), Trouble("disk full", 60.0, until_s=30.0)
    for name, site, trouble in (("here", "local", lasts), ("before", "local", over), ("away", "there", lasts)):
        announce(session, Presence(name, CONSUMER, name, "0.1.0", site, ("cpu",), 2), ACTIVE, 60.0, trouble)
    session.commit()
    found = {one.subject: one for one in examine(settings) if one.subject.startswith("consumer")}
    assert found.keys() == {"consumer on here", "consumer on before"}
    assert not found["consumer on here"].ok
    assert found["consumer on before"].ok
    assert all(one.found.endswith("UTC: disk full") for one in found.values())


def test_what_waits_for_its_surroundings_is_a_fault(settings: Settings, session: Session) -> None:
    made_up.add_process(session, GRAPH_PID, "stack", "waiting", made_up.add_observation(session))
    session.query(made_up.Process).update(
        {"error_class": "surroundings", "error": "disk away", "not_before": made_up.BEGAN}
    )
    session.add(
        ProcessAttempt(
            pid=GRAPH_PID, attempt=1, worker="w", host="h", version="v", started_at=made_up.BEGAN,
            finished_at=made_up.BEGAN, outcome="failed", error_class="surroundings",
        )
    )  # fmt: skip
    session.commit()
    [found] = [one for one in examine(settings) if one.subject == "surroundings"]
    assert found.found == "1 process waits for them since 2024-03-04 20:00:00 UTC: disk away"
    assert not found.ok


def test_a_disk_that_is_too_full_for_work_is_a_fault(settings: Settings) -> None:
    [disk] = [one for one in examine(settings.model_copy(update={"min_free_bytes": 10**18})) if one.subject == "disk"]
    assert "(min_free_bytes)" in disk.found
    assert disk.remedy == "until then consumers take no work"


def sky(settings: Settings, **changes: object) -> tuple[Finding, Finding]:
    found = {finding.subject: finding for finding in examine(settings.model_copy(update=changes))}
    return found["plate solving"], found["catalogue"]


def index_file(folder: Path, name: str, smallest_deg: float, largest_deg: float) -> None:
    header = fits.Header({"SCALE_L": np.radians(smallest_deg), "SCALE_U": np.radians(largest_deg)})
    fits.PrimaryHDU(header=header).writeto(folder / name)


def test_what_solves_fields(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.operating.doctor.installed", lambda: True)
    folder = tmp_path / "index"
    folder.mkdir()
    lacking, _ = sky(settings, index_dir=folder, catalog="none")
    assert f"no index files in {folder}" in lacking.found
    assert "stay in pixels" in lacking.found
    assert "TIANYU_INDEX_DIR" in lacking.remedy
    by_catalogue, _ = sky(settings, index_dir=folder, catalog="gaia")
    assert "solved by the catalogue" in by_catalogue.found
    index_file(folder, "one.fits", 0.5, 1.0)
    index_file(folder, "two.fits", 1.0, 2.0)
    solving, _ = sky(settings, index_dir=folder, catalog="none")
    assert solving.ok
    assert f"2 index files in {folder}, patterns of 30.0 to 120 arcmin" in solving.found
    monkeypatch.setattr("services.operating.doctor.installed", lambda: False)
    assert "pip install" in sky(settings, index_dir=folder)[0].remedy


def test_what_names_stars(settings: Settings, tmp_path: Path) -> None:
    _, none = sky(settings, catalog="none")
    assert none.ok
    assert "0 cells" in none.found
    store = open_cells(settings)
    one = np.ones(3)
    columns = dict.fromkeys(CatalogueStars.__dataclass_fields__, one)
    columns |= {"source_id": np.arange(3), "variable": np.zeros(3, dtype=bool)}
    for cell in (5, 9):
        store.write(cell, CatalogueStars(**columns), 17.5)
    _, gaia = sky(settings, catalog="gaia", catalog_mag_limit=17.5)
    assert gaia.ok
    assert "2 cells with 6 stars" in gaia.found
    assert settings.catalog_url in gaia.found
    _, missing = sky(settings, catalog_file=tmp_path / "gaia.csv")
    assert (missing.ok, "TIANYU_CATALOG_FILE" in missing.remedy) == (False, True)
    (tmp_path / "gaia.csv").write_text("source_id\n")
    assert sky(settings, catalog_file=tmp_path / "gaia.csv")[1].ok
