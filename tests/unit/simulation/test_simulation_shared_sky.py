"""One sky on the frames of several telescopes, and the catalogue beside them."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table

from pipeline.trials.simulation.camera import make_detector
from pipeline.trials.simulation.gaia_truth import GaiaTable, make_gaia
from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.render import render_light
from pipeline.trials.simulation.truth import Truth, make_truth
from services.trials.simulate import read_truth, simulate
from tests.unit.simulation.test_simulation_optics import wcs_of

QUIET = {
    "n_bias": 1,
    "n_dark": 1,
    "n_flat": 1,
    "n_trails": 0,
    "n_smeared": 0,
    "cloudy_fraction": 0.0,
    "cosmic_rays": 0.0,
    "hot_pixel_fraction": 0.0,
    "n_dead_columns": 0,
    "vignetting": 0.0,
    "n_dust": 0,
    "pixel_response_rms": 0.0,
    "bias_structure": 0.0,
    "sky_gradient": 0.0,
}
# A sparse sky, so that a star's light can be summed up without its neighbours'.
NARROW = NightSpec(shape=(300, 340), n_frames=3, sky_seed=11, sky_density=4000.0, sky_separation_arcsec=12.0, **QUIET)
WIDE = replace(
    NARROW, pixel_scale=1.4, position_angle_deg=211.0, mirrored=True, distortion=0.01, colour_term=0.25, seed=9,
    start_jd=NARROW.start_jd + 400.0, zero_point=23.0, filter_name="V", telescope="WIDE", drift=(20.0, 9.0),
    rotation_deg=1.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def narrow() -> Truth:
    return make_truth(NARROW)


@pytest.fixture(scope="module")
def wide() -> Truth:
    return make_truth(WIDE)


def common(first: Truth, second: Truth) -> tuple[np.ndarray, np.ndarray]:
    _, one, other = np.intersect1d(first.stars.gaia_source_id, second.stars.gaia_source_id, return_indices=True)
    return one, other


def on_chip(truth: Truth, i: int, margin: float) -> np.ndarray:
    (x, y), (ny, nx) = truth.positions(i), truth.spec.shape
    return (x > margin) & (x < nx - 1 - margin) & (y > margin) & (y < ny - 1 - margin)


def electrons_above_sky(truth: Truth, i: int) -> np.ndarray:
    spec = truth.spec
    detector = make_detector(spec, spec.generator(Stream.DETECTOR))
    counts = render_light(truth, i, detector, spec.generator(Stream.LIGHT, i)).astype(np.float64)
    return (counts - spec.bias_level) * spec.gain - (truth.frames.sky[i] + spec.dark_current) * spec.exposure_s


def test_both_telescopes_show_the_same_stars(narrow: Truth, wide: Truth) -> None:
    """The wide field has all stars of the narrow one, of the same colours and kinds, moved by their proper motion."""
    assert narrow.stars.id.size > 60
    assert set(narrow.stars.gaia_source_id[on_chip(narrow, 0, 0)]) <= set(wide.stars.gaia_source_id)
    one, other = common(narrow, wide)
    for name in ("g_mag", "bp_rp", "kind", "period_d", "epoch_jd", "pm_ra_mas"):
        np.testing.assert_array_equal(getattr(narrow.stars, name)[one], getattr(wide.stars, name)[other])
    first, second = (SkyCoord(t.stars.ra[k], t.stars.dec[k], unit="deg") for t, k in ((narrow, one), (wide, other)))
    travelled = np.hypot(narrow.stars.pm_ra_mas, narrow.stars.pm_dec_mas)[one] * 400 / 365.25
    np.testing.assert_allclose(first.separation(second).mas, travelled, atol=0.02)
    assert travelled.max() > 10


@pytest.mark.parametrize("which", ["narrow", "wide"])
def test_stars_lie_on_pixels_where_a_wcs_puts_gaias_places(which: str, narrow: Truth, wide: Truth) -> None:
    """Through the catalogue, proper motion and astropy's TAN-SIP to a hundredth of a pixel."""
    truth = {"narrow": narrow, "wide": wide}[which]
    gaia = make_gaia(truth)
    _, row, star = np.intersect1d(gaia.source_id, truth.stars.gaia_source_id, return_indices=True)
    assert star.size == truth.stars.id.size
    years = (truth.spec.middle_jd - 2457389.0) / 365.25
    ra = gaia.ra[row] + gaia.pmra[row] / 3.6e6 * years / np.cos(np.radians(gaia.dec[row]))
    x, y = wcs_of(truth.spec).all_world2pix(ra, gaia.dec[row] + gaia.pmdec[row] / 3.6e6 * years, 0)
    on = on_chip(truth, 0, 0)[star]
    off = np.hypot(truth.positions(0)[0][star] - x, truth.positions(0)[1][star] - y)
    assert off[on].max() < 0.01
    image = electrons_above_sky(truth, 0)
    bright = np.flatnonzero(on & (truth.stars.mag[star] < 15) & on_chip(truth, 0, 12)[star])
    assert bright.size >= 6
    for k in bright:
        column, line = round(float(x[k])), round(float(y[k]))
        yy, xx = np.mgrid[line - 8 : line + 9, column - 8 : column + 9]
        part = image[line - 8 : line + 9, column - 8 : column + 9]
        # A Gaussian weight about the wanted place halves an offset and keeps neighbours out.
        weight = part * np.exp(-0.5 * ((xx - x[k]) ** 2 + (yy - y[k]) ** 2) / 1.5**2)
        assert (weight * (xx - x[k])).sum() / weight.sum() == pytest.approx(0, abs=0.05)
        assert (weight * (yy - y[k])).sum() / weight.sum() == pytest.approx(0, abs=0.05)


def test_colours_change_fluxes_by_the_colour_term(wide: Truth) -> None:
    """In electrons exactly; on pixels the sum over a star that stands alone, to its noise."""
    grey = make_truth(replace(WIDE, colour_term=0.0))
    ratio = wide.electrons(0) / grey.electrons(0)
    np.testing.assert_allclose(-2.5 * np.log10(ratio), 0.25 * wide.stars.bp_rp, atol=1e-12)
    assert np.ptp(wide.stars.bp_rp) > 1
    with_colour, without = electrons_above_sky(wide, 0), electrons_above_sky(grey, 0)
    x, y = wide.positions(0)
    bright = np.flatnonzero(on_chip(wide, 0, 6) & (wide.stars.mag < 14) & (wide.stars.g_mag > 12.5))
    assert bright.size > 10
    for k in bright:
        part = np.s_[round(float(y[k])) - 4 : round(float(y[k])) + 5, round(float(x[k])) - 4 : round(float(x[k])) + 5]
        change = -2.5 * np.log10(with_colour[part].sum() / without[part].sum())
        assert change == pytest.approx(0.25 * wide.stars.bp_rp[k], abs=0.03)


def test_magnitudes_are_gaias_at_relative_flux_1(narrow: Truth) -> None:
    """G of the catalogue and the zero point give the electrons of a constant star in clear air at airmass 1."""
    gaia = make_gaia(narrow)
    _, row, star = np.intersect1d(gaia.source_id, narrow.stars.gaia_source_id, return_indices=True)
    wanted = 10 ** (0.4 * (NARROW.zero_point - gaia.phot_g_mean_mag[row])) * NARROW.exposure_s
    rate = narrow.electrons(1)[star] / narrow.frames.transparency[1] / narrow.relative_flux[star, 1]
    np.testing.assert_allclose(rate, wanted, rtol=1e-12)
    steady = narrow.stars.kind[star] == "constant"
    assert (narrow.relative_flux[star, 1][steady] == 1).all()


def test_the_catalogue_is_the_same_on_every_night(narrow: Truth, wide: Truth) -> None:
    first, second = make_gaia(narrow), make_gaia(wide)
    _, one, other = np.intersect1d(first.source_id, second.source_id, return_indices=True)
    assert one.size == first.source_id.size
    for field in fields(GaiaTable):
        np.testing.assert_array_equal(getattr(first, field.name)[one], getattr(second, field.name)[other])
    assert (first.ref_epoch == 2016.0).all()
    assert {"VARIABLE", "NOT_AVAILABLE"} == set(second.phot_variable_flag)
    _, row, star = np.intersect1d(second.source_id, wide.stars.gaia_source_id, return_indices=True)
    assert row.size == wide.stars.id.size
    colour = second.phot_bp_mean_mag[row] - second.phot_rp_mean_mag[row]
    np.testing.assert_allclose(colour, wide.stars.bp_rp[star], atol=1e-12)


def test_a_sky_goes_on_around_the_frames(narrow: Truth) -> None:
    gaia = make_gaia(narrow)
    x, y = wcs_of(NARROW).all_world2pix(gaia.ra, gaia.dec, 0)
    distance = np.hypot(x - 169.5, y - 149.5)
    corner = np.hypot(169.5, 149.5)
    assert distance.max() > 1.5 * corner
    # As many to the area beyond the field as within it.
    ring, disc = ((distance > corner) & (distance < 1.4 * corner)).sum(), (distance < corner).sum()
    assert ring / disc == pytest.approx(1.4**2 - 1, abs=5 * np.sqrt(1 / disc))


def test_a_night_without_a_sky_has_a_catalogue_too() -> None:
    """Its own stars, moved back to 2016, others around, and fainter ones among them that are no blends."""
    spec = NightSpec(start_jd=NightSpec().start_jd, colour_term=-0.2)
    truth = make_truth(spec)
    gaia, stars = make_gaia(truth), truth.stars
    np.testing.assert_array_equal(gaia.source_id[: stars.id.size], stars.gaia_source_id)
    assert np.unique(gaia.source_id).size == gaia.source_id.size
    np.testing.assert_allclose(stars.mag, stars.g_mag - 0.2 * stars.bp_rp)
    years = (spec.middle_jd - 2457389.0) / 365.25
    ra = gaia.ra + gaia.pmra / 3.6e6 * years / np.cos(np.radians(gaia.dec))
    x, y = wcs_of(spec).all_world2pix(ra, gaia.dec + gaia.pmdec / 3.6e6 * years, 0)
    np.testing.assert_allclose(np.stack([x, y])[:, : stars.id.size], [stars.x, stars.y], atol=1e-4)
    on = (x > 0) & (x < 511) & (y > 0) & (y < 511)
    on[: stars.id.size] = False
    assert on.sum() > 300
    assert gaia.phot_g_mean_mag[on].min() > spec.mag_max
    assert gaia.phot_g_mean_mag.max() <= spec.mag_max + 3
    for k in np.flatnonzero(on):
        assert np.hypot(stars.x - x[k], stars.y - y[k]).min() > spec.min_separation_fwhm * spec.mean_fwhm
    outside = (np.hypot(x - 255.5, y - 255.5) > 420) & (gaia.phot_g_mean_mag < spec.mag_max)
    assert outside.sum() > 50
    assert (gaia.phot_variable_flag == "VARIABLE").sum() == spec.n_pulsators + spec.n_binaries


def test_orientation_and_catalogue_leave_the_pixels_of_an_old_night_alone() -> None:
    spec = NightSpec(shape=(96, 128), n_frames=2, n_stars=12, n_smeared=0, n_trails=0)

    def frame(night: NightSpec) -> np.ndarray:
        detector = make_detector(night, night.generator(Stream.DETECTOR))
        return render_light(make_truth(night), 1, detector, night.generator(Stream.LIGHT, 1))

    turned = replace(spec, position_angle_deg=77.0, mirrored=True, scale_error=0.1, telescope="OTHER")
    np.testing.assert_array_equal(frame(spec), frame(turned))
    assert not np.array_equal(frame(spec), frame(replace(spec, colour_term=0.5)))


def test_files_tell_telescope_pointing_and_catalogue(tmp_path: Path) -> None:
    spec = replace(WIDE, n_frames=1, instrument="CAM2", pointing_error_deg=(0.3, 0.0), scale_error=0.2)
    simulate(spec, tmp_path / "night")
    header = fits.getheader(tmp_path / "night" / "Simulated_V_0001.fits")
    assert (header["TELESCOP"], header["INSTRUME"], header["FILTER"]) == ("WIDE", "CAM2", "V")
    assert header["RA"] == pytest.approx(5.0 + 0.3 / np.cos(np.radians(35.0)), abs=1e-3)
    assert header["PIXSCALE"] == pytest.approx(1.4 * 1.2)
    table = Table.read(tmp_path / "night" / "truth" / "gaia.csv", format="csv")
    wanted = make_gaia(make_truth(spec))
    assert table.colnames == [
        *("source_id", "ra", "dec", "pmra", "pmdec", "parallax", "phot_g_mean_mag", "phot_bp_mean_mag"),
        *("phot_rp_mean_mag", "phot_variable_flag", "ref_epoch"),
    ]
    for field in fields(GaiaTable):
        np.testing.assert_array_equal(np.asarray(table[field.name]), getattr(wanted, field.name))
    assert read_truth(tmp_path / "night").spec == spec
