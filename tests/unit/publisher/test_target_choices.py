"""What a file of targets says becomes choices of the observations of these targets, and of no others."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from schema.processes import Process
from services.choices import Choices
from services.engine.publisher.changed_choices import by_other_choices
from services.engine.publisher.target_choices import unknown_targets
from services.errors import ConfigurationError
from services.targets_file import read_targets
from tests.unit.publisher.made_up import Telescope

FILE = """
["hat-p 32"]
radec = "02:04:10.3,+46:41:16"
targets = ["10,20"]
references = ["30,40", "31.0d,46.6d"]
match_px = 3.0
["Kepler-9"]
radec = "285.5d,38.4d"
"""


def test_each_target_has_its_own_and_others_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(FILE)
    telescope = Telescope(tmp_path, targets_file=path, manual_checks=("5,5",))
    named, other = telescope.observe(name="HAT-P-32"), telescope.observe(name="WASP-1")
    choices = telescope.publish(named).choices
    assert choices == telescope.settings.choices, "a hyphen is part of a name"
    path.write_text(FILE.replace("hat-p 32", "hat-p-3 2"))
    choices = telescope.publish(named, again=True).choices
    assert choices.solve_radec == "02:04:10.3,+46:41:16"
    assert (choices.manual_targets, choices.manual_references) == (("10,20",), ("30,40", "31.0d,46.6d"))
    assert (choices.manual_checks, choices.manual_match_px) == ((), 3.0)
    assert choices.relative_methods == ("manual", "ensemble", "paper")
    assert telescope.publish(other).choices == telescope.settings.choices
    with telescope.sessions() as session:
        told = session.scalars(select(Process.parameters).where(Process.command == "calibrate_relative")).all()
        assert sum("10,20" in json.dumps(json.loads(one)) for one in told) == 1
        assert unknown_targets(session, telescope.settings) == ["targets.toml: no frames are of 'Kepler-9'"]


def test_what_is_said_otherwise_is_published_again_for_this_target_alone(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text('["HAT-P-32"]\ntargets = ["10,20"]\n')
    telescope = Telescope(tmp_path, targets_file=path)
    named, other = telescope.observe(), telescope.observe(name="WASP-1")
    for number in (named, other):
        telescope.publish(number)
    telescope.succeed()

    def renewed() -> list[int]:
        with telescope.sessions() as session:
            return by_other_choices(session, telescope.settings, but=())[0]

    assert not renewed()
    path.write_text('["HAT-P-32"]\ntargets = ["10,21"]\n')
    assert renewed() == [named]
    assert set(telescope.publish(named).runs()) == {"calibrate_relative", "analyze"}
    telescope.succeed()
    rerun = telescope.rerun(named, "calibrate_relative")
    assert rerun.choices.manual_targets == ("10,21",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[A]\nstars = []", r"A\.stars: .*expected a table a target, with radec, targets"),
        ('[A]\ntargets = ["here"]', "names no star"),
        ('[A]\nradec = "1,2"', "no place on the sky"),
        ('radec = "1d,2d"', "radec: "),
        ("[A", "cannot be read"),
        ('["A b"]\n["a B"]', "are one target"),
        (None, "cannot be read"),
    ],
)
def test_what_a_file_cannot_say_is_refused_by_its_name(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "targets.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"targets\.toml.*{says}"):
        read_targets(path)


def test_an_empty_table_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("[A]\n")
    assert read_targets(tmp_path / "t.toml")["A"].fill(Choices()) == Choices()
