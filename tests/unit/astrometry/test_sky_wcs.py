"""The WCS against astropy's, and carried through alignments."""

import warnings

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS

from pipeline.errors import UnusableDataError
from pipeline.registration.alignment import Alignment
from pipeline.sky.astrometry import SkyWcs, separation_arcsec
from pipeline.sky.astrometry.projection import from_plane, to_plane

SHAPE = (2048, 1500)
SCALE = 1.8 / 3600  # degrees a pixel

PLACES = [(150.1, 2.2), (0.01, -30.0), (359.99, 45.0), (210.0, 89.0), (12.0, -89.3), (77.0, 90.0), (33.0, -90.0)]


def made(place: tuple[float, float], angle: float = 33.0, mirrored: bool = False, sip: bool = True) -> SkyWcs:
    """A WCS with a tangent point off the centre, a little shear, and 6 px of distortion in the corners."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    parity = 1.0 if mirrored else -1.0
    cd = SCALE * np.array([[parity * c, s], [-parity * s, c]]) @ np.array([[1.0, 0.002], [0.0, 1.001]])
    if not sip:
        return SkyWcs((700.25, 1100.5), place, cd)
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[2, 0], a[1, 1], a[0, 2], a[3, 0], a[1, 2], a[2, 1] = 4e-7, -3e-7, 1e-7, 3e-9, 3e-9, 2e-10
    b[2, 0], b[1, 1], b[0, 2], b[0, 3], b[2, 1] = -2e-7, 5e-7, 1e-7, 3e-9, 3e-9
    return SkyWcs((700.25, 1100.5), place, cd, a, b)


def astropys(wcs: SkyWcs) -> WCS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(Header.fromstring(wcs.text(), sep="\n"))


def pixels(rng: np.random.Generator, number: int = 300) -> np.ndarray:
    return rng.uniform((0, 0), (SHAPE[1] - 1, SHAPE[0] - 1), (number, 2))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("sip", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
def test_it_agrees_with_astropy(
    rng: np.random.Generator, place: tuple[float, float], sip: bool, mirrored: bool
) -> None:
    wcs = made(place, mirrored=mirrored, sip=sip)
    truth, xy = astropys(wcs), pixels(rng)
    radec = wcs.to_sky(xy)
    assert ((radec[:, 0] >= 0) & (radec[:, 0] < 360)).all()
    # 1e-9 degrees, as a distance: right ascension alone means nothing at a pole.
    assert separation_arcsec(radec, truth.all_pix2world(xy, 0)).max() < 1e-9 * 3600
    np.testing.assert_allclose(wcs.to_pixels(radec), truth.all_world2pix(radec, 0, tolerance=1e-9), atol=1e-6)
    np.testing.assert_allclose(wcs.to_pixels(radec), xy, atol=1e-7)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("sip", [False, True])
def test_text_and_back_is_the_same_wcs(rng: np.random.Generator, place: tuple[float, float], sip: bool) -> None:
    wcs, xy = made(place, sip=sip), pixels(rng)
    again = SkyWcs.from_text(wcs.text())
    assert separation_arcsec(again.to_sky(xy), wcs.to_sky(xy)).max() < 1e-9
    assert again.text() == wcs.text()
    assert again.degree == (3 if sip else 1)


def test_inverse_polynomials_hold_within_a_hundredth_of_a_pixel(rng: np.random.Generator) -> None:
    wcs, cards = made((150.0, 20.0)), made((150.0, 20.0)).cards()
    uv = rng.uniform(-1100, 1100, (300, 2))
    sky = wcs.to_sky(uv + wcs.crpix)
    big = SkyWcs(wcs.crpix, wcs.crval, wcs.cd).to_pixels(sky) - wcs.crpix  # without the distortion
    for axis, name in enumerate(("AP", "BP")):
        order = range(int(cards[f"{name}_ORDER"]) + 1)
        inverse = sum(
            float(cards.get(f"{name}_{i}_{j}", 0.0)) * big[:, 0] ** i * big[:, 1] ** j for i in order for j in order
        )
        assert np.abs(big[:, axis] - uv[:, axis]).max() > 3
        # Of 6 px of distortion, with two degrees more than the polynomials (with one: 0.016).
        assert np.abs(big[:, axis] + inverse - uv[:, axis]).max() < 0.01


def test_behind_the_tangent_plane_is_nowhere() -> None:
    wcs = made((10.0, 20.0), sip=False)
    found = wcs.to_pixels(np.array([[190.0, -20.0], [10.0, -75.0], [np.nan, 3.0], [10.0, 20.0]]))
    assert np.isnan(found[:3]).all()
    np.testing.assert_allclose(found[3], wcs.crpix, atol=1e-9)


def test_where_the_distortion_folds_back_is_nowhere() -> None:
    a = np.zeros((4, 4))
    a[3, 0] = a[1, 2] = -1e-7  # u - 1e-7 u r²: never beyond 1217 along an axis
    wcs = SkyWcs((1000.0, 1000.0), (30.0, 0.0), np.diag([-SCALE, SCALE]), a, a.T)
    far = SkyWcs((1000.0, 1000.0), (30.0, 0.0), np.diag([-SCALE, SCALE])).to_sky(
        np.array([[1000.0 + 1300.0, 1000.0], [1000.0 + 900.0, 1000.0]])
    )
    found = wcs.to_pixels(far)
    assert np.isnan(found[0]).all()
    u = found[1, 0] - 1000.0
    assert u - 1e-7 * u**3 == pytest.approx(900.0, abs=1e-6)
    assert u < 1826.0  # the near one of the two pixels that show this place


@pytest.mark.parametrize("sip", [False, True])
def test_what_it_is_given_stays_as_it_is(rng: np.random.Generator, sip: bool) -> None:
    # To whose last digits nobody could add 1 and take it off again.
    wcs, xy = made((10.0, 20.0), sip=sip), rng.uniform(0, 4, (300, 2))
    pixels_before = xy.copy()
    radec = wcs.to_sky(xy)
    radec_before = radec.copy()
    wcs.on_plane(xy)
    wcs.to_pixels(radec)
    plane = to_plane(radec, 10.0, 20.0)
    plane_before = plane.copy()
    from_plane(plane, 10.0, 20.0)
    np.testing.assert_array_equal(xy, pixels_before)
    np.testing.assert_array_equal(radec, radec_before)
    np.testing.assert_array_equal(plane, plane_before)


def test_pixels_on_the_plane_are_where_their_sky_is(rng: np.random.Generator) -> None:
    wcs, xy = made((10.0, 80.0)), pixels(rng)
    np.testing.assert_allclose(wcs.on_plane(xy), to_plane(wcs.to_sky(xy), *wcs.crval), atol=1e-12)


@pytest.mark.parametrize("place", PLACES)
def test_none_is_none(place: tuple[float, float]) -> None:
    assert made(place).to_sky(np.empty((0, 2))).shape == (0, 2)
    assert made(place).to_pixels(np.empty((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("sip", [False, True])
@pytest.mark.parametrize(
    "alignment",
    [
        Alignment(13.25, -41.5, 0.7, 1.003, 749.5, 1023.5, 0.1, 50),
        Alignment(-3.0, 7.0, 180.0, 1.0, 749.5, 1023.5, 0.1, 50),
        Alignment(220.0, 7.0, -178.9, 0.998, 749.5, 1023.5, 0.1, 50),
        Alignment(0.0, 0.0, 90.0, 1.0, 749.5, 1023.5, 0.1, 50),
    ],
    ids=["drift", "half a turn", "flip", "quarter turn"],
)
def test_a_frame_shows_the_same_sky_through_its_alignment(
    rng: np.random.Generator, alignment: Alignment, sip: bool
) -> None:
    for mirrored in (False, True):
        wcs, xy = made((359.9, 60.0), mirrored=mirrored, sip=sip), pixels(rng)
        frame = wcs.through(alignment)
        # The two maps one after the other, 1e-9 arcsec; the same degree of distortion carries it exactly.
        assert separation_arcsec(frame.to_sky(alignment.to_frame(xy)), wcs.to_sky(xy)).max() < 1e-8
        assert frame.mirrored == wcs.mirrored
        assert frame.degree == wcs.degree


@pytest.mark.parametrize("angle", [0.0, 45.0, 133.0, 290.0])
@pytest.mark.parametrize("dec", [0.0, 60.0, -88.0])
def test_scale_angle_and_parity_are_those_of_the_sky(angle: float, dec: float) -> None:
    for mirrored in (False, True):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        parity = 1.0 if mirrored else -1.0
        # Columns: where +x and +y go, to the east and to the north; +y at the position angle, +x a quarter turn on.
        cd = SCALE * np.array([[parity * c, s], [-parity * s, c]])
        wcs = SkyWcs(((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2), (40.0, dec), cd)
        assert wcs.pixel_scale(SHAPE) == pytest.approx(1.8, rel=1e-6)
        assert (wcs.position_angle(SHAPE) - angle + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)
        assert wcs.mirrored is mirrored
        assert wcs.centre(SHAPE) == pytest.approx((40.0, dec), abs=1e-12)
        half = np.degrees(np.arctan(np.radians(SCALE) * np.hypot(*SHAPE) / 2))
        assert wcs.radius(SHAPE) == pytest.approx(half, rel=1e-9)


def test_north_up_east_left_is_not_mirrored() -> None:
    wcs = SkyWcs((500.0, 500.0), (80.0, 10.0), np.diag([-SCALE, SCALE]))
    left, up = wcs.to_sky(np.array([[400.0, 500.0], [500.0, 600.0]]))
    assert left[0] > 80.0
    assert up[1] > 10.0
    assert not wcs.mirrored
    assert np.cos(np.radians(wcs.position_angle((1001, 1001)))) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"CTYPE1": "RA---ZPN"}, "RA---ZPN"),
        ({"CRVAL1": "north"}, "CRVAL1 is 'north'"),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, "can be inverted"),
        ({"LONPOLE": 90.0}, "LONPOLE is 90"),
    ],
)
def test_what_is_no_tangent_plane_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(UnusableDataError, match=said):
        SkyWcs.from_cards({**made((1.0, 2.0)).cards(), **change})


def test_a_missing_keyword_is_named() -> None:
    cards = dict(made((1.0, 2.0)).cards())
    del cards["CRPIX2"]
    with pytest.raises(UnusableDataError, match="CRPIX2 is None"):
        SkyWcs.from_cards(cards)
