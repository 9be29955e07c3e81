"""The reference frame that an operator gives: by name or number, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from schema.image import Image
from services.choices import Choices
from services.engine.publisher.publication import Publication
from services.errors import ConfigurationError
from services.settings import Settings
from services.steps.choose_reference import CHOOSE_REFERENCE
from tests.unit.publisher.made_up import Telescope
from tests.unit.services.made_up import NIGHT


@pytest.fixture
def telescope(tmp_path: Path) -> Telescope:
    return Telescope(tmp_path)


def publish(telescope: Telescope, light: int, given: Any, **more: Any) -> Publication:
    values = telescope.settings.model_dump() | {"reference_frame": given}
    telescope.settings = Settings.model_validate(values)
    return telescope.publish(light, **more)


def frames(telescope: Telescope, light: int) -> list[Image]:
    with telescope.sessions() as session:
        query = select(Image).where(Image.observation_id == light, Image.pid.is_(None), Image.kind == "light")
        return list(session.scalars(query.order_by(Image.start_jd_utc, Image.path)))


def told(publication: Publication) -> list[int]:
    [raw] = [process.parameters for process in publication.processes if process.command == "choose_reference"]
    return list(CHOOSE_REFERENCE.parameters.model_validate_json(raw).frames)  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", [2, "2", "{name}", "{folder}/{name}", "./{folder}/{name}"])
def test_a_frame_is_given_by_number_or_name(telescope: Telescope, given: object) -> None:
    light = telescope.observe()
    telescope.observe(night=NIGHT.replace(day=6))  # another night's frames do not count
    third = frames(telescope, light)[2]
    path = Path(third.path)
    text = given.format(name=path.name, folder=path.parent.name) if isinstance(given, str) else given
    publication = publish(telescope, light, text)
    assert told(publication) == [third.image_id]
    assert any(repr(third.path) in note and "as given" in note for note in publication.notes)


def test_changing_it_computes_from_the_choice_on_and_nothing_before(telescope: Telescope) -> None:
    light = telescope.observe()
    assert told(telescope.publish(light)) == []
    telescope.succeed()
    again = publish(telescope, light, 1)
    assert again.reused["calibrate"] == 4
    runs = again.runs()
    assert runs["choose_reference"] == 1
    assert not runs["calibrate"]
    telescope.succeed()
    assert not publish(telescope, light, frames(telescope, light)[1].path).processes, "the same frame by its name"
    without = publish(telescope, light, None)
    assert without.runs().keys() <= {"calibrate_relative", "analyze"}, "what was chosen before is there, and is shown"
    telescope.succeed()
    rerun = telescope.rerun(light, "choose_reference")
    assert told(rerun) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("4", r"no frame '4'.*it has 4, numbered from 0 \('light_0000.fits'\) to 3"),
        ("-1", "no frame '-1'"),
        ("none.fits", "no frame 'none.fits'"),
        ("elsewhere/light_0001.fits", "no frame"),
        ("1", r"light_0001.fits' was rejected \(a cloud\)"),
    ],
)
def test_what_is_no_frame_is_refused(telescope: Telescope, given: str, says: str) -> None:
    light = telescope.observe()
    second = frames(telescope, light)[1].image_id
    with telescope.sessions.begin() as session:
        session.execute(update(Image).where(Image.image_id == second).values(good=False, reject_reason="a cloud"))
    with pytest.raises(ConfigurationError, match=says):
        publish(telescope, light, given)


def test_a_given_frame_does_without_another_nights_template(telescope: Telescope) -> None:
    telescope.publish(telescope.observe())
    telescope.succeed()
    light = telescope.observe(night=NIGHT.replace(day=5))
    telescope.publish(light, known=True)
    telescope.succeed()
    assert told(publish(telescope, light, 0)) == [frames(telescope, light)[0].image_id]


def test_a_number_is_a_setting_too() -> None:
    assert Choices(reference_frame=3).reference_frame == "3"  # type: ignore[arg-type]
    assert CHOOSE_REFERENCE.parameters().model_dump(mode="json") == {}, "keys of before stay"
