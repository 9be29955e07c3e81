"""A night whose stack is made on the mountain and whose sources are found at the base: images travel there."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy import select

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from schema.image import COPY, PACKED, TEMPLATE, Image
from schema.processes import FAILED, SKIPPED, SUCCEEDED
from schema.queries import operating
from schema.queries.images import site_id_of
from services.deployment import OtherSite
from services.engine.publisher.publish import Publisher
from services.errors import ConfigurationError
from services.image_store import open_store
from services.operating.housekeeping import collect, policy_of
from services.operating.logs import read_log
from services.operating.report import report
from services.operating.status import overview
from services.own_site import has_template, require_observation
from services.steps.shared.image_files import PIXELS, WEIGHT
from tests.integration.offering import AT_BASE, BASE, MOUNTAIN, Offering, offering, two_sites
from tests.integration.small_night import FRAMES, Night

LOCAL = {"catalog": "none"}  # nobody asks the archive


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Offering]:
    with offering(tmp_path / MOUNTAIN) as offers:
        yield offers


@pytest.fixture(scope="module")
def stacked(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The night as far as the mountain makes it alone: what was packed waits for the base."""
    folder = tmp_path_factory.mktemp("stacked")
    mountain, _ = two_sites(f"sqlite:///{folder / 'sites.db'}", folder, "http://127.0.0.1:1", **LOCAL)
    mountain.publish(raw)
    with mountain.sessions.begin() as session:
        operating.pause(session, site_id_of(session, BASE), 1)
    mountain.work()
    assert ("pack", SUCCEEDED) in mountain.states(mountain.facts().graph_pid)
    mountain.sessions.kw["bind"].dispose()
    return folder


@pytest.fixture
def sites(tmp_path: Path, stacked: Path, link: Offering) -> Iterator[tuple[Night, Night]]:
    """A copy of it, the test's own."""
    shutil.copytree(stacked, tmp_path, dirs_exist_ok=True)
    mountain, base = two_sites(f"sqlite:///{tmp_path / 'sites.db'}", tmp_path, link.url, **LOCAL)
    with mountain.sessions.begin() as session:
        operating.resume(session, site_id_of(session, BASE), 1)
    yield mountain, base
    for night in (mountain, base):
        night.sessions.kw["bind"].dispose()


@pytest.fixture(scope="module")
def expected(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """Light curves of the night at one site."""
    night = Night.open(tmp_path_factory.mktemp("alone"), **LOCAL)
    night.publish(raw)
    night.work()
    night.sessions.kw["bind"].dispose()
    return night.light_curves()


def image(night: Night, kind: str) -> Image:
    with night.sessions() as session:
        return session.scalars(select(Image).where(Image.kind == kind).order_by(Image.pid.desc())).first()


def where(night: Night) -> dict[str, str]:
    """Site by command, of what succeeded."""
    return dict(
        night.rows(
            "SELECT DISTINCT p.command, s.name FROM process p JOIN site s ON s.site_id = p.site_id "
            "WHERE p.status = 'succeeded'"
        )
    )


def failed(night: Night) -> tuple[str, str]:
    """Class and message of the one transfer that failed."""
    [found] = night.rows("SELECT error_class, error FROM process WHERE command = 'transfer' AND status = 'failed'")
    return found


def test_the_light_curves_are_those_of_one_site_though_the_link_is_cut(
    sites: tuple[Night, Night], link: Offering, expected: list[tuple[object, ...]]
) -> None:
    mountain, base = sites
    link.cuts += [20_000, 0, 30_000]  # of 62 kB: in the middle; then nothing, which ends the attempt; and once more
    done = mountain.work(beside=[base])
    assert mountain.light_curves() == expected
    ran = where(mountain)
    assert (ran["stack"], ran["pack"], ran["extract"]) == (MOUNTAIN,) * 3
    assert {ran[command] for command in ("transfer", "solve", "detect", "calibrate_relative", "analyze")} == {BASE}
    # The attempt that brought nothing did not count, and the next went on where the first one was.
    assert done.count("transfer") == 2
    packed, copy = image(mountain, PACKED), image(mountain, COPY)
    assert link.asked == [(packed.path, start) for start in (0, 20_000, 20_000, 50_000)]
    assert link.sent == packed.size_bytes < 0.7 * copy.size_bytes
    assert not list(base.settings.root.rglob("*.part"))
    there, here = (open_store(night.settings.root).read_all(copy.path, (WEIGHT, PIXELS)) for night in sites)
    np.testing.assert_array_equal(here.image, there.image)
    for name in (WEIGHT, PIXELS):
        np.testing.assert_array_equal(here.extras[name], there.extras[name])
    number = mountain.observation()
    with mountain.sessions() as session:
        observation = require_observation(session, number)
        assert [has_template(session, site, observation) for site in (MOUNTAIN, BASE, "nowhere")] == [True, True, False]
        [journey] = report(session, number).journeys
        assert (journey.images, journey.bytes, journey.travelled_bytes) == (1, copy.size_bytes, packed.size_bytes)
        assert read_log(session, copy.pid).journeys == (journey,)
        for placement in (mountain.settings.placement, {}):  # where steps are is no part of what they give
            again = Publisher(session, mountain.settings.model_copy(update={"placement": placement})).publish(number)
            assert not again.processes
            assert "nothing to compute" in again.says


def test_the_wcs_of_the_raw_header_travels_in_a_row(tmp_path: Path, raw: Path, link: Offering) -> None:
    frames = tmp_path / "raw"
    shutil.copytree(raw, frames, ignore=shutil.ignore_patterns("truth"))
    wcs = SkyWcs((63.5, 63.5), (5.0, 35.0), np.array([[-0.7, 0.013], [0.013, 0.7]]) / 3600.0)
    for path in frames.glob("Simulated*"):
        with fits.open(path, mode="update") as hdus:
            hdus[0].header.update(wcs.cards())
    solved = "SELECT solved, reason, wcs FROM plate_solution ORDER BY pid"
    alone = Night.open(tmp_path / "alone", **LOCAL)
    alone.publish(frames)
    alone.work()
    expected, curves = alone.rows(solved), alone.light_curves()
    assert "Simulated_R_000" in str(expected)  # the claim was looked at
    mountain, base = two_sites(f"sqlite:///{tmp_path / 'sites.db'}", tmp_path, link.url, **LOCAL)
    mountain.publish(frames)
    with mountain.sessions.begin() as session:
        operating.pause(session, site_id_of(session, BASE), 1)
    mountain.work()
    frames.rename(tmp_path / "away")  # the base never had them
    with mountain.sessions.begin() as session:
        operating.resume(session, site_id_of(session, BASE), 1)
    mountain.work(beside=[base])
    assert mountain.rows(solved) == expected
    assert mountain.light_curves() == curves


def test_frames_travel_to_where_they_are_measured_and_go_when_all_is_done(
    raw: Path, tmp_path: Path, link: Offering, expected: list[tuple[object, ...]]
) -> None:
    mountain, base = two_sites(
        f"sqlite:///{tmp_path / 'sites.db'}", tmp_path, link.url, at_base=(*AT_BASE, "extract"), **LOCAL
    )
    mountain.publish(raw)
    done = mountain.work(beside=[base])
    assert mountain.light_curves() == expected
    assert where(mountain)["extract"] == BASE
    assert done.count("transfer") == FRAMES + 1
    calibrated = sorted((base.settings.root / "calibrated").rglob("*.fits"))
    assert len(calibrated) == FRAMES
    # `gc` at either site: packed files go, copies as what they are copies of, and what is a result stays.
    engine, number = mountain.sessions.kw["bind"], mountain.observation()
    removed = collect(engine, mountain.settings, policy_of(mountain.settings), number).removed
    assert [(one.kind, one.files) for one in removed if one.kind == PACKED] == [(PACKED, FRAMES + 1)]
    thrifty = base.settings.model_copy(update={"keep_calibrated": False})
    removed = collect(engine, thrifty, policy_of(thrifty), number).removed
    assert [(one.kind, one.files) for one in removed] == [("calibrated", FRAMES)]
    assert list((base.settings.root / "template").rglob("*.fits"))
    assert len(list((mountain.settings.root / "calibrated").rglob("*.fits"))) == FRAMES
    # What is measured again needs the frames there again, and the template is there.
    mountain.rerun("extract")
    assert mountain.work(beside=[base]).count("transfer") == FRAMES
    assert mountain.light_curves() == expected


def test_a_copy_that_is_there_is_not_fetched_again(sites: tuple[Night, Night], link: Offering) -> None:
    mountain, base = sites
    mountain.work(beside=[base])
    asked = len(link.asked)
    result = mountain.rerun("detect")
    assert not {"pack", "transfer"} & result.runs().keys()
    # Until the new `detect` has run nobody may take the copy away, though its graph may be replaced.
    with mountain.sessions() as session:
        [detect] = [one for one in result.processes if one.command == "detect"]
        assert image(mountain, COPY).pid in detect.required
        assert session is not None
    mountain.work(beside=[base])
    assert len(link.asked) == asked
    # Nor while it is on its way: what comes to the graph waits for the same process.
    mountain.rerun("stack")
    before = mountain.rows("SELECT COUNT(*) FROM process WHERE command = 'transfer'")
    assert before == [(2,)]


def test_a_file_that_came_with_an_attempt_that_was_killed_is_not_fetched_again(
    sites: tuple[Night, Night], link: Offering, expected: list[tuple[object, ...]]
) -> None:
    mountain, base = sites
    path = image(mountain, TEMPLATE).path
    (base.settings.root / path).parent.mkdir(parents=True)
    shutil.copy(mountain.settings.root / path, base.settings.root / path)
    mountain.work(beside=[base])
    assert not link.asked
    assert mountain.light_curves() == expected


def test_a_link_that_is_away_is_waited_for_and_the_status_says_so(
    sites: tuple[Night, Night], link: Offering, expected: list[tuple[object, ...]]
) -> None:
    mountain, base = sites
    link.down = True
    seen: list[str] = []

    def look(command: str) -> None:
        if command == "transfer" and link.down:
            with mountain.sessions() as session:
                [one] = overview(session).hindered
            seen.append(one.reason)
            link.down = len(seen) < 5  # more than attempts that count

    mountain.work(look, beside=[base])
    assert len(seen) == 5
    assert "site 'mountain' cannot be reached at http://127.0.0.1:" in seen[0]
    assert "0.000 of 0.06" in seen[0]
    assert mountain.light_curves() == expected


def test_what_is_spoilt_on_the_way_is_not_kept(
    sites: tuple[Night, Night], link: Offering, expected: list[tuple[object, ...]]
) -> None:
    mountain, base = sites
    link.spoil = lambda whole: whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    mountain.work(beside=[base])
    packed = image(mountain, PACKED)
    kind, error = failed(mountain)
    [(digest,)] = mountain.rows("SELECT sha256 FROM package")
    assert kind == "transient"
    assert f"file {packed.path!r} of site 'mountain' came with the SHA-256 " in error
    assert f"was packed with {digest}: nothing of it is kept" in error
    assert image(mountain, COPY) is None
    assert not [path for path in base.settings.root.rglob("*") if path.suffix in (".fits", ".packed")]
    assert all(path.stat().st_size == 0 for path in base.settings.root.rglob("*.part"))
    assert mountain.states(mountain.facts().graph_pid)["detect", SKIPPED] == 1
    link.spoil = bytes
    number = mountain.observation()
    with mountain.sessions.begin() as session:
        operating.retry(session, operating.pids_in(session, (FAILED, SKIPPED), number))
    mountain.work(beside=[base])
    assert mountain.light_curves() == expected


def test_publishing_again_sends_again_what_did_not_arrive(
    sites: tuple[Night, Night], link: Offering, expected: list[tuple[object, ...]]
) -> None:
    mountain, base = sites
    link.answer = 403
    mountain.work(beside=[base])
    kind, error = failed(mountain)
    assert kind == "configuration"
    assert "does not give" in error
    assert "(HTTP 403): correct user and secret_file of [sites.mountain]" in error
    link.answer = 0
    with mountain.sessions.begin() as session:
        published = Publisher(session, mountain.settings).publish(mountain.observation())
    assert {"pack", "transfer", "solve", "detect", "extract"} <= published.runs().keys()
    assert "stack" not in published.runs()  # nothing else is made again
    mountain.work(beside=[base])
    assert mountain.light_curves() == expected


def test_a_packed_image_that_was_deleted_is_named_with_what_to_do(
    sites: tuple[Night, Night], link: Offering, expected: list[tuple[object, ...]]
) -> None:
    mountain, base = sites
    link.answer = 404
    mountain.work(beside=[base])
    assert "has no file 'packed/" in failed(mountain)[1]
    # It stays as long as somebody may fetch it; who deletes it all the same is told what to do.
    collect(mountain.sessions.kw["bind"], mountain.settings, policy_of(mountain.settings))
    packed = image(mountain, PACKED)
    assert packed.deleted_at is None
    number = mountain.observation()
    with mountain.sessions.begin() as session:
        session.get_one(Image, packed.image_id).deleted_at = datetime(2026, 1, 1)
        operating.retry(session, operating.pids_in(session, (FAILED, SKIPPED), number))
    link.answer = 0
    mountain.work(beside=[base])
    kind, error = failed(mountain)
    assert kind == "configuration"
    assert f"was deleted by `tianyu gc` at 2026-01-01 00:00:00 UTC; `tianyu rerun --from solve {number}`" in error
    mountain.rerun("solve")
    mountain.work(beside=[base])
    assert mountain.light_curves() == expected


def test_two_sites_with_one_root_are_told_to_be_one(sites: tuple[Night, Night], tmp_path: Path) -> None:
    mountain, base = sites
    same = base.having(root=mountain.settings.root)
    mountain.work(beside=[same])
    assert "machines that share a file system are one site" in failed(mountain)[1]


def test_a_site_whose_address_nobody_set_is_named(sites: tuple[Night, Night]) -> None:
    mountain, base = sites
    mountain.work(beside=[base.having(sites={})])
    assert "set url in [sites.mountain]" in failed(mountain)[1]


def test_files_come_by_any_way_that_fsspec_knows(
    sites: tuple[Night, Night], expected: list[tuple[object, ...]]
) -> None:
    mountain, base = sites
    by_file = base.having(sites={MOUNTAIN: OtherSite(url=mountain.settings.root.as_uri())})
    mountain.work(beside=[by_file])
    assert mountain.light_curves() == expected


def test_frames_that_come_later_do_without_another_journey(
    tmp_path: Path, raw: Path, link: Offering, expected: list[tuple[object, ...]]
) -> None:
    some = tmp_path / "some"
    shutil.copytree(raw, some, ignore=shutil.ignore_patterns("truth", "Simulated_R_0007*"))
    mountain, base = two_sites(f"sqlite:///{tmp_path / 'sites.db'}", tmp_path, link.url, **LOCAL)
    mountain.publish(some)
    mountain.work(beside=[base])
    late = list(raw.glob("Simulated_R_0007*"))
    for frame in late:
        shutil.copy(frame, some)
    mountain.publish(some)
    with mountain.sessions.begin() as session:
        published = Publisher(session, mountain.settings).publish(mountain.observation())
    assert published.runs()["extract"] == len(late) > 0
    assert "transfer" not in published.runs()
    assert mountain.work(beside=[base]).count("detect") == 0
    assert mountain.rows("SELECT COUNT(*) FROM process WHERE status NOT IN ('succeeded')") == [(0,)]


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ({"align": BASE}, "placement: 'align' opens the frames, and runs where they are; at another site can be solve"),
        ({"detekt": BASE}, "placement: 'detekt' is no step"),
        ({"detect": "nowhere"}, "site 'nowhere' is not registered: run `tianyu init` on a machine of that site"),
    ],
)
def test_a_step_that_cannot_be_there_is_refused(night: Night, placement: dict[str, str], said: str) -> None:
    settings = night.settings.model_copy(update={"placement": placement})
    with night.sessions() as session, pytest.raises(ConfigurationError, match=said):
        Publisher(session, settings).publish(night.observation(), again=True)
