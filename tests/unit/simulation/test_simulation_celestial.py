"""A sky that is the same whoever looks at it."""

from dataclasses import fields

import numpy as np
import pytest
from astropy.coordinates import Distance, SkyCoord
from astropy.time import Time
from astropy.units import deg, mas, yr
from astropy_healpix import HEALPix

from pipeline.trials.simulation.celestial import Sky, SkyStars, draw_sky, moved, unit_vectors, years_since_gaia

FIELDS = [(120.0, 30.0), (0.03, -20.0), (359.99, 0.0), (50.0, 89.95), (10.0, -90.0)]


def within(stars: SkyStars, ra: float, dec: float, radius: float) -> SkyStars:
    near = SkyCoord(stars.ra, stars.dec, unit="deg").separation(SkyCoord(ra, dec, unit="deg")).deg <= radius
    return stars.take(near)


@pytest.mark.parametrize(("ra", "dec"), FIELDS)
def test_a_part_of_a_field_has_the_stars_of_the_whole(ra: float, dec: float) -> None:
    """Also beside it, over the pole and across 0 h: seen from two pointings, what both see is the same."""
    whole = draw_sky(Sky(7, 3000.0, 5.0, 20.0), ra, dec, 0.35)
    part = draw_sky(Sky(7, 3000.0, 5.0, 20.0), ra + 0.05, np.clip(dec + 0.1, -90, 90), 0.12)
    common = within(whole, ra + 0.05, float(np.clip(dec + 0.1, -90, 90)), 0.12)
    assert part.source_id.size > 500
    for field in fields(SkyStars):
        np.testing.assert_array_equal(getattr(part, field.name), getattr(common, field.name))


@pytest.mark.parametrize(("ra", "dec"), FIELDS)
def test_stars_are_spread_evenly(ra: float, dec: float) -> None:
    """As many to the area as asked for, in all directions: to 4 sigma of counting."""
    stars = draw_sky(Sky(3, 3000.0, 0.0, 20.0), ra, dec, 1.0)
    bright = stars.take(stars.g_mag < 15)
    wanted = 3000.0 * 2 * np.pi * (1 - np.cos(np.radians(1.0))) * np.degrees(1) ** 2
    assert bright.source_id.size == pytest.approx(wanted, abs=4 * np.sqrt(wanted))
    centre = unit_vectors(np.array(ra), np.array(dec))
    along = unit_vectors(bright.ra, bright.dec) - centre
    # The mean of n places in a disc of radius 1°: 0.5° / sqrt(n) along each axis.
    assert np.degrees(np.abs(along.mean(axis=0))).max() < 4 * 0.5 / np.sqrt(wanted) + 0.01


def test_source_ids_are_unique_and_name_the_cell_as_gaias_do() -> None:
    stars = draw_sky(Sky(3, 3000.0, 0.0, 20.0), 120.0, 30.0, 1.0)
    assert np.unique(stars.source_id).size == stars.source_id.size
    cells = HEALPix(nside=4096, order="nested").lonlat_to_healpix(stars.ra * deg, stars.dec * deg)
    np.testing.assert_array_equal(stars.source_id // 2**35, cells)
    # No float holds them.
    assert (stars.source_id.astype(np.float64).astype(np.int64) != stars.source_id).any()


def test_close_pairs_lose_the_fainter_star() -> None:
    every = draw_sky(Sky(3, 20_000.0, 0.0, 20.0), 120.0, 30.0, 0.1)
    apart = draw_sky(Sky(3, 20_000.0, 5.0, 20.0), 120.0, 30.0, 0.1)
    places = unit_vectors(apart.ra, apart.dec)
    cosine = places @ places.T
    np.fill_diagonal(cosine, -1)
    assert np.degrees(np.arccos(cosine.max())) * 3600 > 4.99
    kept = np.isin(every.source_id, apart.source_id)
    assert 0.2 < kept.mean() < 0.9
    assert kept.sum() == apart.source_id.size
    brightest = np.argsort(every.g_mag)[:50]
    assert kept[brightest].mean() > 0.9


def test_a_shallow_sky_has_as_many_bright_stars() -> None:
    stars = draw_sky(Sky(3, 3000.0, 0.0, 17.5), 120.0, 30.0, 1.0)
    wanted = 3000.0 * np.pi
    assert stars.g_mag.max() < 17.5
    assert (stars.g_mag < 15).sum() == pytest.approx(wanted, abs=4 * np.sqrt(wanted))


def test_other_seeds_are_other_skies() -> None:
    first, second = (draw_sky(Sky(seed, 3000.0, 0.0, 20.0), 120.0, 30.0, 0.1) for seed in (1, 2))
    assert not np.isin(first.ra, second.ra).any()


def test_colours_and_motions_are_those_of_stars() -> None:
    stars = draw_sky(Sky(5, 3000.0, 0.0, 20.0), 120.0, 30.0, 1.0)
    assert np.median(stars.bp_rp) == pytest.approx(1.03, abs=0.02)
    assert np.std(stars.bp_rp) == pytest.approx(0.4, abs=0.02)
    bright = np.abs(stars.g_mag - 15) < 0.3
    assert np.median(stars.parallax_mas[bright]) == pytest.approx(1.0, rel=0.05)
    assert np.median(np.abs(stars.pm_ra_mas[bright])) == pytest.approx(5.3 * 0.6745, rel=0.15)
    assert (stars.kind == "pulsator").mean() == pytest.approx(0.03, abs=0.003)
    assert (stars.kind == "binary").mean() == pytest.approx(0.01, abs=0.002)
    variable = stars.kind != "constant"
    assert np.isfinite(stars.period_d[variable]).all()
    assert np.isnan(stars.period_d[~variable]).all()


@pytest.mark.parametrize(("ra", "dec"), [(31.0, 46.7), (0.0001, -5.0), (359.9999, 80.0), (100.0, 89.999)])
def test_stars_move_as_astropy_moves_them(ra: float, dec: float) -> None:
    jd, motion = 2461000.5, (800.0, -650.0)
    start = SkyCoord(
        ra * deg, dec * deg, Distance(parallax=100 * mas), pm_ra_cosdec=motion[0] * mas / yr,
        pm_dec=motion[1] * mas / yr, obstime=Time(2016.0, format="jyear"),
    )  # fmt: skip
    wanted = start.apply_space_motion(Time(jd, format="jd", scale="tdb"))
    found = moved(*(np.array([value]) for value in (ra, dec, *motion)), years_since_gaia(jd))
    off = wanted.separation(SkyCoord(*found, unit="deg")).arcsec[0]
    assert off < 1e-3
    assert wanted.separation(SkyCoord(ra, dec, unit="deg")).arcsec > 9
