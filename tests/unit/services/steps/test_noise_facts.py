"""Where gain, read noise and the rest are taken from: header, then settings, then what was measured."""

import numpy as np
import pytest
from sqlalchemy.orm import Session

from pipeline.noise import scintillation_variance
from schema import database, models
from schema.image import Image
from schema.observing import Instrument, Observation, ObsSite
from services.choices import Choices
from services.steps.shared.noise_facts import (
    Telescope,
    compare_with_header,
    noise_facts,
    read_noise_electrons,
    telescope_of,
)
from tests.unit.services import made_up

NO_TELESCOPE = Telescope(None, None)
MASTERS = {
    "bias": Image(background_rms=5.34),
    "dark": Image(background=0.05),
    "flat": Image(gain=1.52, gain_source="measured", flat_error=0.002),
}


def test_a_header_goes_first() -> None:
    frame = Image(gain=1.4, gain_source="EGAIN", read_noise=9.0, read_noise_source="RDNOISE", exposure_s=20.0)
    facts = noise_facts(frame, MASTERS, NO_TELESCOPE, Choices(gain=2.0, read_noise=3.0))
    assert (facts["gain"], facts["gain_source"]) == (1.4, "EGAIN")
    assert (facts["read_noise"], facts["read_noise_source"]) == (9.0, "RDNOISE")
    assert facts["dark_electrons"] == pytest.approx(0.05 * 20.0 * 1.4)
    assert facts["flat_error"] == 0.002


def test_settings_go_before_measurements() -> None:
    facts = noise_facts(Image(exposure_s=20.0), MASTERS, NO_TELESCOPE, Choices(gain=2.0, read_noise=3.0))
    assert (facts["gain"], facts["gain_source"]) == (2.0, "settings")
    assert (facts["read_noise"], facts["read_noise_source"]) == (3.0, "settings")


def test_what_nobody_tells_is_measured() -> None:
    facts = noise_facts(Image(exposure_s=20.0), MASTERS, NO_TELESCOPE, Choices())
    assert (facts["gain"], facts["gain_source"]) == (1.52, "measured")
    assert facts["read_noise"] == pytest.approx(1.52 * np.sqrt(5.34**2 - 1 / 12))
    assert facts["read_noise_source"] == "measured"


def test_what_cannot_be_known_is_unknown() -> None:
    facts = noise_facts(Image(exposure_s=20.0), {"bias": None, "dark": None, "flat": None}, NO_TELESCOPE, Choices())
    assert facts.pop("gain_source") == "unknown"
    assert set(facts.values()) == {None}
    assert read_noise_electrons(0.1, 2.0) == 0.0  # less than rounding: no read noise to speak of


def test_scintillation_needs_telescope_height_and_airmass() -> None:
    frame = Image(exposure_s=30.0, airmass=1.5)
    found = noise_facts(frame, {}, Telescope(0.6, 2000.0), Choices())
    variance = scintillation_variance(1.0, diameter_m=0.6, altitude_m=2000.0, airmass=1.5, exposure_s=30.0)
    assert found["scintillation"] == pytest.approx(np.sqrt(variance))
    for telescope in (Telescope(None, 2000.0), Telescope(0.6, None)):
        assert noise_facts(frame, {}, telescope, Choices())["scintillation"] is None
    assert noise_facts(Image(exposure_s=30.0), {}, Telescope(0.6, 2000.0), Choices())["scintillation"] is None


def test_the_telescope_of_an_observation() -> None:
    engine = database.connect("sqlite://")
    models.metadata.create_all(engine)
    with Session(engine) as session:
        made_up.base_rows(session)
        number = made_up.add_observation(session)
        assert telescope_of(session, number, Choices(telescope_diameter_m=0.4)).diameter_m == 0.4
        observation = session.get_one(Observation, number)
        session.get_one(Instrument, observation.instrument_id).diameter_m = 1.26
        site = ObsSite(name="high", elevation_m=4200.0)
        session.add(site)
        session.flush()
        observation.obs_site_id = site.obs_site_id
        session.flush()
        assert telescope_of(session, number, Choices(telescope_diameter_m=0.4)) == Telescope(1.26, 4200.0)
        assert telescope_of(session, None, Choices()) == NO_TELESCOPE
    engine.dispose()


@pytest.mark.parametrize(("header", "measured", "warned"), [(1.5, 1.7, False), (1.5, 0.9, True), (None, 1.0, False)])
def test_a_header_that_contradicts_is_told(
    header: float | None, measured: float, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    compare_with_header("gain", header, measured)
    said = capsys.readouterr()  # on either, for other tests may have set up logging
    assert ("contradicts the header's" in said.out + said.err) == warned
