"""Two sites with copies of one night in one database: each has its own observations, masters and light curves."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from schema import database
from schema.image import DERIVED, Image
from schema.observing import Observation, Target
from schema.processes import SUCCEEDED, Process
from services.engine.embedded import embedded_settings
from services.engine.publisher.publish import Publisher
from services.engine.publisher.rerun import rerun
from services.errors import ConfigurationError, DataError
from services.image_store import open_store
from services.ingest.raw_folder import read_folder
from services.ingest.register import register
from services.operating.housekeeping import collect, policy_of
from services.operating.status import status
from services.results.lightcurves.observation_facts import observation_facts
from services.results.lightcurves.star_nights import read_nights, seen_as
from services.results.plots.template_picture import read_template
from services.setup import initialise, open_engine
from services.trials.injection import read_night
from tests.integration.small_night import LIGHT_CURVES, Night
from tests.ready_databases import ReadyDatabases

EAST, WEST = "east", "west"
CURVES = LIGHT_CURVES.replace("ORDER BY", "WHERE l.observation_id = :o ORDER BY")


def open_site(name: str, url: str, raw: Path, root: Path, *without: str) -> Night:
    """A site with a copy of the night under its root."""
    shutil.copytree(raw, root / "night", ignore=shutil.ignore_patterns("truth", *without))
    settings = embedded_settings(root).model_copy(update={"site": name, "database_url": SecretStr(url)})
    engine = open_engine(settings)
    initialise(settings, engine)
    return Night(settings, database.session_factory(engine))


def observations(night: Night, kind: str = "light") -> dict[int, int]:
    """By id, the sites of the observations of one kind."""
    query = select(Observation.observation_id, Observation.site_id).join(Target).where(Target.kind == kind)
    with night.sessions() as session:
        return dict(session.execute(query.order_by(Observation.observation_id)).all())


@dataclass
class Sites:
    """The east has processed its copy, then the west its own."""

    east: Night
    west: Night
    url: str
    first: int  # the east's observation
    second: int


@pytest.fixture(scope="module", params=["sqlite", "mariadb", "mysql"])
def sites(
    request: pytest.FixtureRequest,
    raw: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ready_databases: ReadyDatabases,
) -> Iterator[Sites]:
    folder = tmp_path_factory.mktemp(request.param)
    with ready_databases.own(request.param, folder) as url:
        east, west = (open_site(name, url, raw, folder / name) for name in (EAST, WEST))
        for night in (east, west):
            night.publish(night.settings.root / "night")
        east.work(beside=[west])
        first, second = observations(east)
        yield Sites(east, west, url, first, second)
        for night in (east, west):
            night.sessions.kw["bind"].dispose()


def test_each_site_has_its_own_observations_frames_and_masters(sites: Sites) -> None:
    for kind in ("bias", "dark", "flat", "light"):
        assert len(set(observations(sites.east, kind).values())) == 2
    with sites.east.sessions() as session:
        states = session.execute(select(Process.status, Process.origin_pid).distinct()).all()
        assert states == [(SUCCEEDED, None)]  # nothing failed, and nothing is another site's
        strange = select(func.count()).select_from(Image).join(Observation).where(Image.site_id != Observation.site_id)
        assert session.scalar(strange) == 0
        made = session.scalars(select(Image).where(Image.kind.in_(DERIVED))).all()
    roots = {1: sites.east.settings.root, 2: sites.west.settings.root}
    assert {image.site_id for image in made} == roots.keys()
    for image in made:
        assert (roots[image.site_id] / image.path).is_file()
        assert not (roots[3 - image.site_id] / image.path).exists()


def test_the_masters_of_a_frame_are_of_its_site(sites: Sites) -> None:
    crossing = """
        SELECT COUNT(*) FROM image_parent e
        JOIN image i ON i.image_id = e.image_id JOIN image p ON p.image_id = e.parent_id WHERE i.site_id <> p.site_id"""
    assert sites.east.rows(crossing) == [(0,)]


def test_both_have_the_light_curves_of_one_site_alone(sites: Sites, raw: Path, tmp_path: Path) -> None:
    alone = open_site(EAST, f"sqlite:///{tmp_path / 'alone.db'}", raw, tmp_path / "alone")
    alone.publish(alone.settings.root / "night")
    alone.work()
    [number] = observations(alone)
    expected = alone.rows(CURVES, o=number)
    assert len(expected) > 200
    for observation in (sites.first, sites.second):
        assert sites.east.rows(CURVES, o=observation) == expected  # stars are shared: one id each


def test_a_star_counts_once_though_two_sites_have_its_frames(sites: Sites) -> None:
    [(source,)] = sites.west.rows("SELECT MIN(source_id) FROM light_curve WHERE aperture_best = 1")
    with sites.west.sessions() as session:
        seen = seen_as(session, source_id=source)
        nights = read_nights(session, seen)
    assert [facts.site for facts, _ in seen] == [EAST, WEST]
    assert [curve.observation.observation_id for curve in nights.curves] == [sites.first]
    assert f"observation {sites.second} of site west has the same frames" in nights.notes[0]


def test_work_on_another_sites_observation_is_refused_with_its_name(sites: Sites, tmp_path: Path) -> None:
    said = f"observation {sites.first} is of site 'east', .*; this is 'west'"
    with sites.west.sessions() as session:
        with pytest.raises(ConfigurationError, match=said):
            Publisher(session, sites.west.settings).publish(sites.first)
        with pytest.raises(ConfigurationError, match=said):
            rerun(session, sites.west.settings, sites.first, "extract")
        with pytest.raises(ConfigurationError, match=said):
            read_night(session, sites.west.settings, sites.first)
        with pytest.raises(DataError, match="'east', where its images are"):
            read_template(session, None, observation_facts(session, sites.first))
        pixels, _ = read_template(
            session, open_store(sites.west.settings.root), observation_facts(session, sites.second)
        )
        assert pixels.size
        told = {one.observation_id: one.site for one in status(session)}
    assert (told[sites.first], told[sites.second]) == (EAST, WEST)
    engine = sites.west.sessions.kw["bind"]
    with pytest.raises(ConfigurationError, match=said):
        collect(engine, sites.west.settings, policy_of(sites.west.settings), sites.first)


def test_another_sites_template_is_refused_with_its_name(sites: Sites) -> None:
    said = f"observation {sites.first} is of site 'east', where the pixels of its template are"
    with sites.west.sessions() as session:
        with pytest.raises(ConfigurationError, match=said):
            Publisher(session, sites.west.settings).publish(sites.second, known=True, again=True)
        session.rollback()


def test_publishing_twice_reuses_what_the_own_site_has(sites: Sites) -> None:
    with sites.west.sessions() as session:
        published = Publisher(session, sites.west.settings).publish(sites.second)
        assert session.get_one(Process, published.graph_pid).observation_id == sites.second
        session.rollback()
    assert not published.processes


def test_frames_whose_masters_are_elsewhere_go_on_without_and_say_so(sites: Sites, raw: Path) -> None:
    # A third site has copies of the light frames alone.
    south = open_site("south", sites.url, raw, sites.east.settings.root.parent / "south", "bias*", "dark*", "flat*")
    folder = read_folder(south.settings.root / "night")
    with south.sessions() as session:
        ingest = register(session, folder, site="south", root=south.settings.root)
        [observation] = ingest.observations
        notes = Publisher(session, south.settings).publish(observation.observation_id).notes
        session.rollback()
    south.sessions.kw["bind"].dispose()
    for kind in ("bias", "dark", "flat"):
        assert any(f"no {kind} frames of the same camera at this site (observation" in note for note in notes), notes
    assert all("'east'" in note or "'west'" in note for note in notes if "at this site" in note)
