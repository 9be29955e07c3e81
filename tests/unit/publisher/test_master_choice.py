"""Which masters frames get: given, the same night's, the nearest within limits, the alternative, none; and why."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from schema.image import Image
from schema.observing import Observation
from schema.queries.frames import ids_of_camera, reject
from services.engine.publisher.master_choice import MasterChoice, choose
from services.errors import ConfigurationError
from services.operating.modes import lacking
from services.settings import Settings
from tests.unit.publisher.made_up import Telescope
from tests.unit.services.made_up import NIGHT


@pytest.fixture
def telescope(tmp_path: Path) -> Telescope:
    return Telescope(tmp_path)


def night(days: int) -> date:
    return NIGHT + timedelta(days=days)


def choice(telescope: Telescope, light: int, kind: str, **choices: Any) -> MasterChoice:
    settings = Settings.model_validate(telescope.settings.model_dump() | choices)
    with telescope.sessions() as session:
        found = choose(session, session.get_one(Observation, light), kind, settings)
        session.expunge_all()
        return found


def number(found: MasterChoice) -> int | None:
    return None if found.source is None else found.source.observation_id


def test_given_goes_before_the_same_night_and_the_alternative_behind_all(telescope: Telescope) -> None:
    light, far = telescope.observe(), telescope.observe("bias", night=night(400))
    assert (number(choice(telescope, light, "bias")), choice(telescope, light, "bias").says) == (None, [])
    lacks = choice(telescope, light, "bias").lacks
    assert lacks == f"no bias frames that fit (observation {far} has night {night(400)}, 400 nights away (at most 365))"
    assert number(choice(telescope, light, "bias", master_nights_max=400)) == far
    alternative = choice(telescope, light, "bias", alt_bias=(str(far),))
    assert (number(alternative), alternative.says) == (far, [f"bias as given (--alt-bias {far})"])
    near = telescope.observe("bias", night=night(2))
    assert number(choice(telescope, light, "bias", alt_bias=(str(far),))) == near
    given = choice(telescope, light, "bias", use_bias=(str(far),))
    assert (number(given), given.says) == (far, [f"bias as given (--use-bias {far})"])
    assert number(choice(telescope, light, "bias", use_bias=(str(far),), without=("bias",))) is None


def test_a_given_master_is_named_by_what_made_it(telescope: Telescope) -> None:
    light, bias = telescope.observe(), telescope.observe("bias", night=night(2))
    pid = telescope.publish(bias).processes[-1].pid
    telescope.succeed()
    found = choice(telescope, light, "bias", use_bias=(str(pid),))
    assert (number(found), found.pid) == (bias, pid)
    for what, said in (
        (str(pid), "made a master_bias image, expected a master_flat"),
        (str(bias), f"observation {bias} has bias frames, expected flat"),
        ("99", "there is no observation 99"),
        ("flat.fits", "not registered as a flat"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            choice(telescope, light, "flat", use_flat=(what,))


def test_flats_are_given_by_filter_and_one_of_another_size_is_refused(telescope: Telescope) -> None:
    light = telescope.observe()
    flats = {name: telescope.observe("flat", filter_name=name, night=night(3)) for name in ("R", "V")}
    small = telescope.observe("flat", night=night(1))
    with telescope.sessions.begin() as session:
        session.execute(update(Image).where(Image.observation_id == small).values(nx=32))
    assert number(choice(telescope, light, "flat", use_flat=(str(flats["V"]),))) == flats["R"]
    given = (f"R={flats['V']}", str(flats["R"]))
    assert number(choice(telescope, light, "flat", use_flat=given)) == flats["V"]
    refused = choice(telescope, light, "flat", use_flat=(str(small),))
    assert number(refused) == flats["R"]
    assert refused.says[0] == f"--use-flat {small} has 32 x 64 instead of 64 x 64 pixels, it is not used"


def test_flats_without_a_filter_serve_where_there_is_one_filter(telescope: Telescope) -> None:
    light, flat = telescope.observe(), telescope.observe("flat", filter_name="")
    found = choice(telescope, light, "flat")
    assert number(found) == flat
    assert found.says == [
        f"flat of no filter for frames of R (observation {flat}): there is one filter alone on these nights"
    ]
    telescope.observe(filter_name="V")
    found = choice(telescope, light, "flat")
    assert number(found) is None
    assert found.lacks == f"no flat frames that fit (observation {flat} has no filter where there are frames of R, V)"
    own = telescope.observe("flat")
    assert number(choice(telescope, light, "flat")) == own


def test_darks_are_scaled_where_that_is_allowed(telescope: Telescope) -> None:
    light, dark = telescope.observe(), telescope.observe("dark")
    telescope.observe("bias")
    with telescope.sessions.begin() as session:
        session.execute(update(Observation).where(Observation.observation_id == dark).values(exposure_s=10.0))
    assert number(choice(telescope, light, "dark")) == dark
    refused = choice(telescope, light, "dark", scale_darks=False)
    assert refused.lacks.endswith("has 10 instead of 60 s (scale_darks is off))")


def test_flats_that_were_found_outside_their_limits_give_way_to_others(telescope: Telescope) -> None:
    light, flat = telescope.observe(), telescope.observe("flat")
    telescope.publish(light)
    telescope.succeed()
    with telescope.sessions.begin() as session:
        session.execute(delete(Image).where(Image.kind == "master_flat"))
        reject(session, dict.fromkeys(ids_of_camera(session, flat, "flat"), "too faint"), 1)
    assert number(choice(telescope, light, "flat")) == flat  # nothing else: the graph stays as it is
    with telescope.sessions() as session:
        assert "no good flat frames" in lacking(session, telescope.settings, [light])[light]
    other = telescope.observe("flat", night=night(5))
    assert number(choice(telescope, light, "flat")) == other
    assert number(choice(telescope, light, "flat", flat_limits_adu=(1.0, 9.0))) == flat  # judged anew
