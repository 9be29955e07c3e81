"""Headers of what steps make tell other programs what they need, and nothing wrong, whatever a camera wrote."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from schema.image import Image
from schema.observing import Filter, Instrument, Observation, ObsSite, Target
from services.fits_writer import ADDED_CARDS
from services.image_store import open_store
from services.steps.calibrate import CALIBRATE, CalibrateParameters
from services.steps.shared.kept_cards import MOST_KEPT, kept_cards
from services.steps.shared.step import Context
from services.steps.stack_master import STACK_BIAS, StackMasterParameters
from tests.unit.services.steps.test_steps_noise import BIAS, LIGHT, SHAPE, add, context, run

__all__ = ["context"]
START, EXPOSURE_S, BIAS_LEVEL, SKY = 2460622.125, 60.0, 1000.0, 300.0
FULL = 60_000.0  # raw ADU
HOSTILE = [
    b"OBSERVER= 'Li  Lei '           / who was there",
    b"OBSERVER= 'twice   '",
    b"AIRMASS =                 99.0 / of the day before",
    b"EXPTIME = '1 h'",
    b"DATE-OBS= 'yesterday'",
    b"BZERO   =                32768",
    b"CRVAL1  =                 12.0",
    b"CHECKSUM= 'abcdefghijklmnop'",
    b"BIASSEC = '[1:10,1:10]'",
    b"SITELONG=                 -1.0",
    b"GAIN    =                  120 / a setting",
    b"TEMP-OUT= '3 \xb0C  '",
    b"ESCAPE  = '\x1b[2J'",
    b"HUMIDITY=                 45.5 / [%]",
    b"WIND    = 1E999",
    b"TIANYUPI= '7'",
    ADDED_CARDS,
    b"COMMENT what the camera says",
    b"HISTORY opened the dome",
]


def observed(context: Context) -> None:
    """What ingest found of the observation."""
    with context.reading.begin() as session:
        observation = session.get_one(Observation, 1)
        target = session.get_one(Target, observation.target_id)
        target.name = "V* o'Cet 鲸鱼座"
        instrument = session.get_one(Instrument, observation.instrument_id)
        instrument.name, instrument.telescope, instrument.diameter_m = "Camera", "80 cm", 0.8
        session.get_one(Filter, observation.filter_id).name = "R"
        site = ObsSite(name="here", longitude_deg=91.1815, latitude_deg=29.65, elevation_m=3650.0)
        session.add(site)
        session.flush()
        observation.obs_site_id = site.obs_site_id
        observation.ra_deg, observation.dec_deg = 34.8366, -2.9776


def write_hostile(path: Path) -> None:
    """Put the hostile cards into a frame's header, where astropy would not."""
    content = path.read_bytes()
    header, pixels = content[:2880], content[2880:]
    own = [header[start : start + 80] for start in range(0, 2880, 80)]
    own = own[: own.index(b"END".ljust(80))]
    cards = b"".join([*own, *(card.ljust(80) for card in HOSTILE), b"END".ljust(80)])
    path.write_bytes(cards.ljust(len(cards) + -len(cards) % 2880) + pixels)


def test_a_calibrated_image_tells_other_programs_all_they_need(context: Context) -> None:
    observed(context)
    rng, dark = np.random.default_rng(5), np.zeros(SHAPE)
    biases = tuple(add(context, f"bias_{i}.fits", "bias", dark, rng, exposure_s=0.0) for i in range(3))
    run(context, BIAS, STACK_BIAS, StackMasterParameters(kind="bias", frames=biases, root=True))
    frame = add(
        context, "light.fits", "light", dark + SKY * 1.7, rng, exposure_s=EXPOSURE_S, start_jd_utc=START,
        jd_utc=START + EXPOSURE_S / 172800.0, bjd_tdb=START + 0.005, airmass=1.25, gain=1.7, gain_source="EGAIN",
        read_noise=9.0, saturation=FULL,
    )  # fmt: skip
    write_hostile(context.deployment.root / "light.fits")
    made = run(context, LIGHT, CALIBRATE, CalibrateParameters(frame=frame, bias=BIAS))
    path = context.deployment.root / made.path
    with fits.open(path) as hdus:
        hdus.verify("exception")
    image = CCDData.read(path)
    header = image.header
    assert image.unit == u.adu
    assert Time(header["DATE-OBS"], scale=header["TIMESYS"].lower()).jd == pytest.approx(START, abs=1e-9)
    assert Time(header["MJD-AVG"], format="mjd").jd == pytest.approx(START + EXPOSURE_S / 172800.0, abs=1e-9)
    expected = {
        "EXPTIME": EXPOSURE_S, "JD": START + EXPOSURE_S / 172800.0, "BJD_TDB": START + 0.005, "AIRMASS": 1.25,
        "GAIN": 1.7, "RDNOISE": 9.0, "SITELONG": 91.1815, "SITELAT": 29.65, "RA": "02:19:20.784",
        "DEC": "-02:58:39.36", "FILTER": "R", "TELESCOP": "80 cm", "OBSERVER": "Li  Lei", "HUMIDITY": 45.5,
        "OBJECT": r"V* o'Cet \u9cb8\u9c7c\u5ea7", "CALSTAT": "B", "BIASPID": str(BIAS), "TIANYUPI": str(LIGHT),
        "RAWFILE": "light.fits",
    }  # fmt: skip
    assert {name: header.get(name) for name in expected} == expected
    assert header["SATURATE"] == pytest.approx(FULL - BIAS_LEVEL - SKY, abs=2.0)
    absent = {"HJD", "ALT", "CRVAL1", "CHECKSUM", "BIASSEC", "BZERO", "TEMP-OUT", "ESCAPE", "WIND", "DARKPID"}
    assert not absent & set(header)
    assert "opened the dome" in header["HISTORY"]
    assert "what the camera says" in header["COMMENT"]
    assert any(made_of.startswith("Tianyu: master bias subtracted") for made_of in header["HISTORY"])


def test_what_comes_later_takes_the_place_of_what_stood_there(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    text = "".join(f"{key:<8}= {value:>20}".ljust(80) for key, value in (("BJD", 1.0), ("GAIN", 2.0)))
    store.write("calibrated/1/1.fits", np.zeros((5, 5), np.float32), {}, {"TIANYUPI": "1"}, text)
    for bjd in (3.0, 4.0):
        store.add_cards("calibrated/1/1.fits", {"BJD": (bjd, "[d] barycentric")})
    header = fits.getheader(tmp_path / "calibrated/1/1.fits")
    assert (header.count("BJD"), header["BJD"], header["GAIN"]) == (1, 4.0, 2.0)


def test_a_master_tells_how_many_frames_it_is_of(context: Context) -> None:
    observed(context)
    rng, dark = np.random.default_rng(5), np.zeros(SHAPE)
    times = [START, START + 0.01, START + 0.03]
    biases = tuple(
        add(context, f"bias_{i}.fits", "bias", dark, rng, exposure_s=0.0, temperature_c=-20.0 - i, jd_utc=time)
        for i, time in enumerate(times)
    )
    made = run(context, BIAS, STACK_BIAS, StackMasterParameters(kind="bias", frames=biases, root=True))
    header = CCDData.read(context.deployment.root / made.path).header
    assert (header["IMAGETYP"], header["NCOMBINE"], header["CCD-TEMP"]) == ("BIAS", 3, -21.0)
    assert header["JD"] == pytest.approx(np.mean(times), abs=1e-8)
    assert header["LEVEL"] == pytest.approx(BIAS_LEVEL, abs=1.0)
    assert isinstance(made, Image)
    assert made.temperature_c == -21.0


@given(st.binary(max_size=2000))
def test_any_header_gives_cards_that_can_be_written(content: bytes) -> None:
    kept, _ = kept_cards(content.decode("latin-1"))
    fits.Header.fromstring(kept).tostring()


def test_a_header_that_never_ends_is_cut(context: Context) -> None:
    header = "".join(f"K{number:<7}= {number:>20}".ljust(80) for number in range(MOST_KEPT + 7))
    kept, left_out = kept_cards(header)
    assert (len(kept) // 80, left_out) == (MOST_KEPT, 7)


def test_nobody_knows_what_a_given_master_is_made_of(context: Context) -> None:
    observed(context)
    with context.reading.begin() as session:
        session.get_one(Observation, 1).setting = "given 0123456789abcdef"
    frame = add(context, "theirs.fits", "bias", np.zeros(SHAPE), np.random.default_rng(5), exposure_s=0.0)
    made = run(context, BIAS, STACK_BIAS, StackMasterParameters(kind="bias", frames=(frame,), root=True))
    header = fits.getheader(context.deployment.root / made.path)
    assert header["COMBINE"] == "given file"
    assert not {"NCOMBINE", "DETSET", "LEVEL"} & set(header)
