"""Two telescopes, two filters, two nights, one field, one database: each star is one source, named, in magnitudes."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipeline.sky.astrometry.sky_wcs import SkyWcs
from pipeline.trials.simulation.celestial import unit_vectors
from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.truth import Truth
from pipeline.trials.simulation.variables import pulsator
from tests.acceptance.own_process import reduce
from tests.acceptance.programs import Programs
from tests.acceptance.shared_sky import NIGHTS_JD, SKY, Seen, find_observations, simulate_all

BRIGHT_MAG = 15.0  # G
UNSATURATED_MAG = 12.0  # G, on all frames
MATCH_PX = 1.5
MARGIN_PX = 8.0  # from the border: the apertures lie inside
ARCSEC_PER_RADIAN = np.degrees(3600.0)

SITE = NightSpec()

Floats = NDArray[np.float64]

SOURCES = """
SELECT p.source_id, p.x, p.y, s.ra_deg, s.dec_deg, c.gaia_source_id FROM source_position p
JOIN process d ON d.pid = p.pid AND d.graph_pid = ? AND d.command = 'detect'
JOIN source s USING (source_id)
LEFT JOIN source_crossmatch c ON c.source_id = s.source_id AND c.match_rank = 1 AND c.is_match
"""
MAGNITUDES = """
SELECT source_id, jd_utc, mag, mag_error FROM light_curve
WHERE observation_id = ? AND aperture = ? AND flag IN (0, 2) AND image_good AND mag IS NOT NULL
"""
# What a user types for the light curve of a star over all nights.
LIGHT_CURVE = """
SELECT observation_id, jd_utc, bjd_tdb_source, mag, mag_error FROM light_curve
WHERE source_id = ? AND aperture_best AND image_good AND flag IN (0, 2) ORDER BY bjd_tdb_source
"""


@dataclass(frozen=True)
class Matched:
    """Sources of one observation, n in all, beside the truth."""

    seen: Seen
    source: NDArray[np.int64]  # [n], id
    gaia: NDArray[np.int64]  # [n], 0 for none
    radec: Floats  # [n, 2], of the source, degrees
    xy: Floats  # [n, 2], template pixels
    star: NDArray[np.int64]  # [n], of the truth, nearest on the template
    distance: Floats  # [n], px

    def by_star(self) -> dict[int, int]:
        """Rows of the sources by the Gaia id of the true star that they are."""
        rows = np.flatnonzero(self.distance < MATCH_PX)
        names = self.seen.truth.stars.gaia_source_id[self.star[rows]]
        return dict(zip(names.tolist(), rows.tolist(), strict=True))


@dataclass(frozen=True)
class Result:
    truths: Mapping[str, Truth]
    database: Path
    matched: list[Matched]

    def rows(self, query: str, *values: object) -> list[Any]:
        with sqlite3.connect(self.database) as connection:
            return connection.execute(query, values).fetchall()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("many")
    truths = simulate_all(folder / "raw")
    raw, work, catalog = folder / "raw", folder / "work", folder / "raw" / "gaia.csv"
    reduce(raw / "night1", work, catalog_file=catalog)
    Programs({}, folder).run(
        *("run", str(raw / "night2"), "--workdir", str(work), "--consumers", "1"),
        *("--catalog", str(catalog), "--no-plots"),
    )
    database = work / "tianyu.db"
    observations = find_observations(database, truths)
    return Result(truths, database, [match(database, seen) for seen in observations])


def match(database: Path, seen: Seen) -> Matched:
    with sqlite3.connect(database) as connection:
        rows = connection.execute(SOURCES, (seen.graph,)).fetchall()
    ids, x, y, ra, dec, gaia = zip(*rows, strict=True)
    xy = np.column_stack([x, y])
    tree = KDTree(seen.on_template())  # type: ignore[no-untyped-call]
    distance, star = tree.query(xy)  # type: ignore[no-untyped-call]
    names = np.array([name or 0 for name in gaia], dtype=np.int64)
    radec = np.array([ra, dec], dtype=np.float64).T
    return Matched(seen, np.array(ids), names, radec, xy, star, distance)


def bright(seen: Seen) -> set[int]:
    """Gaia ids of the bright stars that every frame of an observation shows."""
    stars = seen.truth.stars
    return set(stars.gaia_source_id[(stars.g_mag < BRIGHT_MAG) & seen.inside(MARGIN_PX)].tolist())


def in_both_fields(result: Result) -> set[int]:
    return set.intersection(*(bright(matched.seen) for matched in result.matched))


def test_every_observation_is_there(result: Result) -> None:
    assert len(result.truths) == 8
    assert sorted(m.seen.name for m in result.matched) == sorted(
        f"{telescope} {band} {jd:.0f}" for telescope in ("NARROW", "WIDE") for band in "RB" for jd in NIGHTS_JD
    )
    assert len({m.seen.observation for m in result.matched}) == 8
    assert len(in_both_fields(result)) > 20


def test_each_telescope_is_calibrated_by_its_own_frames(result: Result) -> None:
    """The cameras are of one make: only the telescopes tell their frames apart."""
    parents = """
    SELECT DISTINCT m.kind, b.instrument_id = a.instrument_id FROM image c
    JOIN image_parent p ON p.image_id = c.image_id JOIN image m ON m.image_id = p.parent_id
    JOIN observation a ON a.observation_id = c.observation_id JOIN observation b ON b.observation_id = m.observation_id
    WHERE c.graph_pid = ? AND c.kind = 'calibrated' AND m.kind LIKE 'master%'
    """
    for matched in result.matched:
        masters = dict(result.rows(parents, matched.seen.graph))
        assert masters == {"master_bias": 1, "master_dark": 1, "master_flat": 1}, matched.seen.name


def test_templates_are_solved_as_the_telescopes_stood(result: Result) -> None:
    for matched in result.matched:
        truth = matched.seen.truth
        [(solved, reason, scale, angle, mirrored)] = result.rows(
            "SELECT solved, reason, pixel_scale_arcsec, position_angle_deg, mirrored FROM plate_solution "
            "JOIN process USING (pid) WHERE graph_pid = ?",
            matched.seen.graph,
        )
        assert solved, f"{matched.seen.name}: {reason}"
        assert scale == pytest.approx(truth.spec.pixel_scale, rel=1e-3)
        assert mirrored == truth.spec.mirrored
        # A field that turns from x to y turns +y from east to north, on a mirrored frame from north to east.
        turned = truth.frames.rotation[matched.seen.reference] * (1 if truth.spec.mirrored else -1)
        off = (angle - truth.spec.position_angle_deg - turned + 180) % 360 - 180
        assert abs(off) < max(truth.spec.rotation_deg, 0.05)  # the template is a mean of frames


def test_solutions_hold_to_a_tenth_of_a_pixel(result: Result) -> None:
    """Median over all true stars in the field to a tenth of a pixel, the corners to half of one.

    The template is the mean of frames moved by whole pixels: a common offset from the reference frame is its own.
    """
    for matched in result.matched:
        truth = matched.seen.truth
        [(text,)] = result.rows(
            "SELECT wcs FROM plate_solution JOIN process USING (pid) WHERE graph_pid = ?", matched.seen.graph
        )
        expected, (ny, nx) = matched.seen.on_template(), truth.spec.shape
        inside = ((expected > 0) & (expected < (nx - 1, ny - 1))).all(axis=1)
        found = SkyWcs.from_text(text).to_pixels(np.column_stack([truth.stars.ra, truth.stars.dec])[inside])
        off = found - expected[inside]
        assert np.abs(np.median(off, axis=0)).max() < 0.5
        off = np.hypot(*(off - np.median(off, axis=0)).T)
        assert np.median(off) < 0.1, matched.seen.name
        assert off.max() < 0.5, matched.seen.name


def test_bright_stars_are_found_and_named(result: Result) -> None:
    """Source, true star and Gaia id belong together for 99 % of them, over all observations."""
    wanted = right = 0
    for matched in result.matched:
        row_of = matched.by_star()
        for name in bright(matched.seen):
            wanted += 1
            right += name in row_of and matched.gaia[row_of[name]] == name
    assert wanted > 250
    assert right >= 0.99 * wanted


def test_no_star_has_a_wrong_name(result: Result) -> None:
    """Of all sources that are a true star, faint ones too, 99 % of the names are its own or that of a blended one."""
    names = own = 0
    for matched in result.matched:
        stars = matched.seen.truth.stars
        real = (matched.distance < MATCH_PX) & (matched.gaia > 0)
        names += real.sum()
        own += (stars.gaia_source_id[matched.star] == matched.gaia)[real].sum()
    assert names > 2000
    assert own >= 0.99 * names


def test_a_star_is_one_source_on_all_nights(result: Result) -> None:
    sources: dict[int, set[int]] = defaultdict(set)
    for matched in result.matched:
        for name, row in matched.by_star().items():
            sources[name].add(int(matched.source[row]))
    common = in_both_fields(result)
    assert np.mean([len(sources[name]) == 1 for name in common]) >= 0.99
    # And one sky, in which no two sources are one star.
    assert len(result.rows("SELECT sky_id FROM sky")) == 1


def test_sources_lie_where_the_stars_are(result: Result) -> None:
    """Coordinates in the database against the truth of each night: the median within a tenth of a pixel."""
    for matched in result.matched:
        stars, row_of = matched.seen.truth.stars, matched.by_star()
        place = {name: index for index, name in enumerate(stars.gaia_source_id.tolist())}
        names = [name for name in bright(matched.seen) if name in row_of]
        star, row = np.array([place[name] for name in names]), np.array([row_of[name] for name in names])
        found, true = unit_vectors(*matched.radec[row].T), unit_vectors(stars.ra[star], stars.dec[star])
        off = np.linalg.norm(found - true, axis=1) * ARCSEC_PER_RADIAN / matched.seen.truth.spec.pixel_scale
        assert np.median(off) < 0.1, matched.seen.name


def residuals(result: Result, matched: Matched) -> tuple[Floats, Floats, Floats]:
    """Magnitude less true G and quoted errors, float64[star, frame], of the bright, constant stars; their BP − RP."""
    truth, row_of = matched.seen.truth, matched.by_star()
    stars = truth.stars
    steady = set(stars.gaia_source_id[stars.kind == "constant"].tolist())
    names = sorted(name for name in bright(matched.seen) & steady if name in row_of)
    g_mag = dict(zip(stars.gaia_source_id.tolist(), stars.g_mag.tolist(), strict=True))
    place = {int(matched.source[row_of[name]]): (index, g_mag[name]) for index, name in enumerate(names)}
    values = np.full((2, len(names), SKY["n_frames"]), np.nan)
    for source, jd, mag, error in result.rows(MAGNITUDES, matched.seen.observation, 1):
        if source in place:
            index, true = place[source]
            values[:, index, int(np.argmin(np.abs(truth.frames.jd_mid - jd)))] = mag - true, error
    colours = dict(zip(stars.gaia_source_id.tolist(), stars.bp_rp.tolist(), strict=True))
    return values[0], values[1], np.array([colours[name] for name in names])


def test_magnitudes_are_unbiased(result: Result) -> None:
    """Median over the bright constant stars of each observation within 5 mmag, and of the blue and the red ones too."""
    for matched in result.matched:
        off, _, colour = residuals(result, matched)
        assert np.isfinite(off).sum() > 400
        assert abs(np.nanmedian(off)) < 0.005, matched.seen.name
        for some in (colour < np.median(colour), colour >= np.median(colour)):
            assert abs(np.nanmedian(off[some])) < 0.005, matched.seen.name


def test_quoted_errors_of_magnitudes_are_honest(result: Result) -> None:
    """Chi of all points about 1: its robust width within a fifth."""
    chi = []
    for matched in result.matched:
        off, error, _ = residuals(result, matched)
        chi.append((off / error)[np.isfinite(off)])
    together = np.concatenate(chi)
    width = 1.4826 * np.median(np.abs(together - np.median(together)))
    assert 0.8 < width < 1.2
    assert np.mean(np.abs(together) > 5) < 0.02


def test_filters_agree_star_by_star(result: Result) -> None:
    """The colour terms are taken off: a star's mean magnitude is the same through both filters and telescopes."""
    means: dict[int, list[float]] = defaultdict(list)
    steady = {
        name
        for truth in result.truths.values()
        for name in truth.stars.gaia_source_id[truth.stars.kind == "constant"].tolist()
    }
    for matched in result.matched:
        values: dict[int, list[float]] = defaultdict(list)
        for source, _, mag, _ in result.rows(MAGNITUDES, matched.seen.observation, 1):
            values[source].append(mag)
        row_of = matched.by_star()
        for name in in_both_fields(result) & steady:
            if name in row_of and values[int(matched.source[row_of[name]])]:
                means[name].append(float(np.median(values[int(matched.source[row_of[name]])])))
    spread = [np.std(found, ddof=1) for found in means.values() if len(found) == 8]
    assert len(spread) > 15
    assert np.median(spread) < 0.01


def test_one_query_gives_a_variable_over_all_nights(result: Result) -> None:
    """The brightest pulsator of both fields that saturates nowhere: its true light curve, in phase, on all nights."""
    first = result.matched[0]
    stars = first.seen.truth.stars
    common = set.intersection(
        *(set(m.seen.truth.stars.gaia_source_id[m.seen.inside(MARGIN_PX)].tolist()) for m in result.matched)
    )
    pulsators = [
        k
        for k in np.flatnonzero((stars.kind == "pulsator") & (stars.g_mag > UNSATURATED_MAG))
        if int(stars.gaia_source_id[k]) in common
    ]
    star = min(pulsators, key=lambda k: stars.g_mag[k])
    source = int(first.source[first.by_star()[int(stars.gaia_source_id[star])]])
    rows = result.rows(LIGHT_CURVE, source)
    assert len({observation for observation, *_ in rows}) == 8
    assert len(rows) > 0.9 * 8 * SKY["n_frames"]
    _, jd, bjd, mag, error = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    model = pulsator(jd, *(float(column[star]) for column in (stars.amplitude, stars.period_d, stars.epoch_jd)), np.nan)
    off = mag - (stars.g_mag[star] - 2.5 * np.log10(model))
    assert stars.amplitude[star] > 10 * np.median(error)
    assert abs(np.median(off)) < 0.005
    assert 1.4826 * np.median(np.abs(off / error)) < 1.5
    there = EarthLocation.from_geodetic(SITE.longitude_deg, SITE.latitude_deg, SITE.elevation_m)
    times = Time(jd, format="jd", scale="utc", location=there)
    place = SkyCoord(stars.ra[star], stars.dec[star], unit="deg")
    expected = times.tdb.jd + times.light_travel_time(place).jd
    assert np.abs(bjd - expected).max() * 86400 < 0.05
