"""Where the celestial sphere falls on a simulated camera, against astropy's WCS and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.optics import (
    distort,
    header_pointing,
    on_first,
    on_frame,
    straighten,
    to_pixels,
    to_sky,
)
from pipeline.trials.simulation.truth import make_truth

SPEC = NightSpec(shape=(300, 420), pixel_scale=3.0, seeing=6.0)
ORIENTATIONS = [(0.0, False), (0.0, True), (37.5, False), (123.0, True), (271.0, False), (359.0, True)]


def wcs_of(spec: NightSpec) -> WCS:
    """The same camera in FITS keywords; position angle and parity by CDELT and PC, distortion by SIP."""
    ny, nx = spec.shape
    angle = np.radians(spec.position_angle_deg)
    header = fits.Header()
    header.update(CRVAL1=spec.ra_deg, CRVAL2=spec.dec_deg, CRPIX1=(nx + 1) / 2, CRPIX2=(ny + 1) / 2, RADESYS="ICRS")
    header.update(CDELT1=-spec.pixel_scale / 3600, CDELT2=spec.pixel_scale / 3600, CUNIT1="deg", CUNIT2="deg")
    # PC turns the sky by the angle from north through east; a mirrored camera has -x in place of x.
    flip = -1 if spec.mirrored else 1
    header.update(PC1_1=flip * np.cos(angle), PC1_2=-np.sin(angle), PC2_1=flip * np.sin(angle), PC2_2=np.cos(angle))
    header.update(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=3, B_ORDER=3)
    k = spec.distortion / (((nx - 1) / 2) ** 2 + ((ny - 1) / 2) ** 2)
    header.update(A_3_0=k, A_1_2=k, B_0_3=k, B_2_1=k)
    return WCS(header)


def grid(spec: NightSpec) -> tuple[np.ndarray, np.ndarray]:
    ny, nx = spec.shape
    x, y = np.meshgrid(np.linspace(-20, nx + 20, 15), np.linspace(-20, ny + 20, 11))
    return x.ravel(), y.ravel()


@pytest.mark.parametrize(("angle", "mirrored"), ORIENTATIONS)
@pytest.mark.parametrize("centre", [(5.0, 35.0), (0.02, -12.0), (200.0, 89.9), (77.0, -90.0)])
@pytest.mark.parametrize("distortion", [0.0, 0.02, -0.02])
def test_places_are_those_of_astropy(
    angle: float, mirrored: bool, centre: tuple[float, float], distortion: float
) -> None:
    ra, dec = centre
    spec = replace(SPEC, ra_deg=ra, dec_deg=dec, position_angle_deg=angle, mirrored=mirrored, distortion=distortion)
    x, y = grid(spec)
    found = SkyCoord(*to_sky(x, y, spec), unit="deg")
    wanted = SkyCoord(*wcs_of(spec).all_pix2world(x, y, 0), unit="deg")
    assert found.separation(wanted).arcsec.max() < 1e-5
    back = to_pixels(found.ra.deg, found.dec.deg, spec)
    np.testing.assert_allclose(back, [x, y], atol=1e-6)


def test_north_is_up_and_east_to_the_left() -> None:
    """By hand, a hundredth of a degree from the middle: 12 pixels of 3 arcsec."""
    place = {"north": (np.array([5.0]), np.array([35.01])), "east": (np.array([5.0 + 0.01 / np.cos(np.radians(35))]),
             np.array([35.0]))}  # fmt: skip

    def offset(towards: str, **orientation: object) -> list[float]:
        x, y = to_pixels(*place[towards], replace(SPEC, **orientation))
        return [float(x[0]) - 209.5, float(y[0]) - 149.5]

    assert offset("north") == pytest.approx([0, 12], abs=0.01)
    assert offset("east") == pytest.approx([-12, 0], abs=0.01)
    assert offset("north", mirrored=True) == pytest.approx([0, 12], abs=0.01)
    assert offset("east", mirrored=True) == pytest.approx([12, 0], abs=0.01)
    # +y towards the east: the north is to the right, of a mirrored camera to the left.
    assert offset("east", position_angle_deg=90.0) == pytest.approx([0, 12], abs=0.01)
    assert offset("north", position_angle_deg=90.0) == pytest.approx([12, 0], abs=0.01)
    assert offset("north", position_angle_deg=90.0, mirrored=True) == pytest.approx([-12, 0], abs=0.01)


@pytest.mark.parametrize("distortion", [0.05, 0.01, -0.01, -0.05])
def test_the_corner_sees_farther_out_by_the_distortion(distortion: float) -> None:
    spec = replace(SPEC, distortion=distortion)
    x, y = straighten(np.array([0.0, 209.5, 209.5]), np.array([0.0, 149.5, 0.0]), spec)
    half = np.hypot(209.5, 149.5)
    assert np.hypot(x[0] - 209.5, y[0] - 149.5) / half == pytest.approx(1 + distortion)
    assert (x[1], y[1]) == (209.5, 149.5)
    assert y[2] == pytest.approx(149.5 - 149.5 * (1 + distortion * (149.5 / half) ** 2))


def test_what_a_distortion_cannot_reach_stays_off_the_frame() -> None:
    angle = np.linspace(0, 2 * np.pi, 50)
    x, y = distort(209.5 + 1e5 * np.cos(angle), 149.5 + 1e5 * np.sin(angle), replace(SPEC, distortion=-0.05))
    assert np.isfinite([x, y]).all()
    assert np.hypot(x - 209.5, y - 149.5).min() > 2 * np.hypot(209.5, 149.5)


def test_drift_and_rotation_move_the_undistorted_plane() -> None:
    spec = replace(SPEC, drift=(30.0, -20.0), rotation_deg=2.0, distortion=0.02, n_frames=5)
    frames = make_truth(spec).frames
    x, y = np.array([30.0, 209.5, 400.0]), np.array([20.0, 149.5, 10.0])
    u, v = on_frame(x, y, frames, 4, spec)
    np.testing.assert_allclose(on_first(u, v, frames, 4, spec), [x, y], atol=1e-6)
    # Distances between stars, without distortion, are the same on both frames.
    for a, b in ((0, 1), (1, 2), (0, 2)):
        first, last = (np.column_stack(straighten(*places, spec)) for places in ((x, y), (u, v)))
        assert np.linalg.norm(first[a] - first[b]) == pytest.approx(np.linalg.norm(last[a] - last[b]), abs=1e-6)


def test_headers_point_where_the_telescope_thinks() -> None:
    assert header_pointing(SPEC) == (5.0, 35.0, 3.0)
    for angle, mirrored in ORIENTATIONS:
        spec = replace(SPEC, position_angle_deg=angle, mirrored=mirrored, distortion=0.01)
        ra, dec, scale = header_pointing(replace(spec, pointing_error_deg=(0.6, -0.8), scale_error=0.3))
        there = SkyCoord(5.0, 35.0, unit="deg").separation(SkyCoord(ra, dec, unit="deg"))
        assert there.deg == pytest.approx(1.0, abs=2e-4)  # tan 1° is 1.0001°
        assert (ra - 5.0) * np.cos(np.radians(35)) == pytest.approx(0.6, abs=0.01)
        assert dec - 35.0 == pytest.approx(-0.8, abs=0.01)
        assert scale == pytest.approx(3.9)
    over_the_pole, _, _ = header_pointing(replace(SPEC, dec_deg=89.5, pointing_error_deg=(0.0, 1.0)))
    assert over_the_pole == pytest.approx(185.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distortion": 0.2}, "distortion is 0.2, expected at most 0.05 either way"),
        ({"mirrored": 1}, "mirrored is 1, expected True or False"),
        ({"scale_error": -1.0}, "scale_error is -1.0, expected more than -1"),
        ({"sky_seed": -3}, "sky_seed is -3, expected a whole number from 0 on, or None"),
        ({"sky_seed": 1.5}, "sky_seed is 1.5"),
        ({"sky_faintest_mag": 9.0}, "sky_faintest_mag is 9.0, expected more than sky_brightest_mag, 10.5"),
        ({"telescope": "50 cm"}, "telescope is '50 cm'"),
        ({"pointing_error_deg": (1.0,)}, "pointing_error_deg is"),
    ],
)
def test_impossible_telescopes_are_refused_by_name(change: dict[str, object], words: str) -> None:
    with pytest.raises(UnusableDataError, match=words):
        replace(SPEC, **change)
