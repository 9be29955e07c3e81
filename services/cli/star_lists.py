"""Light curves of many stars, for `tianyu lightcurve`: one table of all or a file each, and what became of each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from sqlalchemy import Engine

from schema import database
from schema.light_curve_rows import ApertureChoice
from services.cli.console import counting, note, out, say
from services.cli.star_choice import position_of
from services.destinations import require_replaceable
from services.errors import ConfigurationError, DataError, TianyuError, TransientError
from services.results.lightcurves.export import FORMATS, SUFFIXES, write_file, write_stream
from services.results.lightcurves.formats import to_json
from services.results.lightcurves.observation_facts import (
    ObservationFacts,
    observation_facts,
    with_light_curves,
    without_copies,
)
from services.results.lists.became import AMBIGUOUS, NOT_FOUND, Became, became
from services.results.lists.list_file import Wanted
from services.results.lists.many_curves import ManyCurves, read_many
from services.results.positions import Named
from services.results.targets import resolve
from services.settings import Settings

TOLD_MOST = 20  # stars that are told one by one; the table of targets has all
NAME_MOST = 60  # characters of a star's name in a file's


@dataclass(frozen=True)
class ListOutput:
    """Where the light curves go, and as what."""

    file: Path | None
    folder: Path | None
    format_name: str
    as_json: bool
    force: bool

    def __post_init__(self) -> None:
        """See that the format has a column for the star.

        Raises:
            ConfigurationError: it has none.
        """
        if self.format_name not in FORMATS:
            raise ConfigurationError(
                f"format {self.format_name} holds one star of one observation: a list is written as "
                f"{', '.join(FORMATS)}"
            )

    @property
    def targets_file(self) -> Path | None:
        """Of the table of targets: beside the file, or in the folder."""
        if self.folder is not None:
            return self.folder / "targets.csv"
        return None if self.file is None else self.file.with_name(f"{self.file.stem}.targets.csv")

    def file_of(self, number: int, label: str) -> Path:
        """Of one star of the list, counted from 1."""
        assert self.folder is not None
        name = re.sub(r"[^A-Za-z0-9+-]+", "_", label).strip("_")[:NAME_MOST]
        return self.folder / f"{number + 1:04d}_{name}{SUFFIXES[self.format_name][0]}"


def show_list(
    engine: Engine,
    settings: Settings,
    wanted: Sequence[Wanted],
    numbers: Sequence[int],
    aperture: ApertureChoice,
    output: ListOutput,
) -> None:
    """Read the light curves of all stars, tell what became of each, and write them.

    Raises:
        ConfigurationError: there is no such observation, or a file may not be written.
        DataError: no star of the list has points.
    """
    files = [output.file, output.targets_file]
    files += [output.file_of(number, one.label) for number, one in enumerate(wanted)] if output.folder else []
    reading = database.reading_factory(engine)
    with reading() as session:
        require_replaceable(session, settings, [path for path in files if path is not None], force=output.force)
        observations = _observations([observation_facts(session, one) for one in dict.fromkeys(numbers)])
        if not numbers:
            observations, copies = without_copies(session, with_light_curves(session))
            for one in copies:
                note(f"observation {one.observation_id} of site {one.site} has the same frames: left out")
    if not observations:
        raise DataError("no observation has light curves yet: `tianyu status` shows what is still to be done")
    placed, unknown = _placed(engine, settings, wanted)
    with reading() as session, counting("stars") as told:
        stars = became(session, placed, unknown, observations)
        curves = read_many(session, stars, observations, aperture, told)
    _tell(stars, curves)
    _write(stars, curves, output)


def _observations(found: list[ObservationFacts]) -> list[ObservationFacts]:
    if without := [str(one.observation_id) for one in found if one.calibration_pid is None]:
        raise DataError(
            f"observation {', '.join(without)} has no light curves yet: `tianyu status` shows how far it is"
        )
    return found


def _placed(engine: Engine, settings: Settings, wanted: Sequence[Wanted]) -> tuple[list[Wanted], dict[int, str]]:
    """The list with names replaced by places, and why some are not known; who is away is not asked again and again."""
    placed, unknown, away = list(wanted), {}, ""
    with counting("names") as told:
        for number, one in enumerate(wanted):
            if isinstance(one.star, Named):
                asked = settings.model_copy(update={"catalog": "none"}) if away else settings
                try:
                    found = resolve(engine, asked, one.star.name)
                except TransientError as error:
                    away = unknown[number] = str(error)
                except TianyuError as error:
                    unknown[number] = away or str(error)
                else:
                    placed[number] = Wanted(one.label, position_of(found))
            told(number + 1, len(wanted))
    return placed, unknown


def _tell(stars: Sequence[Became], curves: ManyCurves) -> None:
    strange = [one for one in stars if one.words]
    for one in strange[:TOLD_MOST]:
        note(f"{one.label}: {one.status}: {one.words}")
    if len(strange) > TOLD_MOST:
        note(f"and {len(strange) - TOLD_MOST} more, as the table of targets says")
    counts = [sum(one.status == status for one in stars) for status in (NOT_FOUND, AMBIGUOUS)]
    having = int((curves.targets["points"] > 0).sum())
    note(
        f"{having} of {len(stars)} stars have light curves, {len(curves.table)} points; {counts[0]} not found, "
        f"{counts[1]} ambiguous"
    )


def _write(stars: Sequence[Became], curves: ManyCurves, output: ListOutput) -> None:
    files = []
    if output.folder is not None:
        output.folder.mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(stars):
            if len(points := curves.of(number)):
                files.append(output.file_of(number, one.label))
                write_file(points, files[-1], output.format_name)
        note(f"{len(files)} files written to {output.folder}")
    if output.file is not None and len(curves.table):
        write_file(curves.table, output.file, output.format_name)
        files.append(output.file)
        note(f"written to {output.file}")
    if output.targets_file is not None:
        write_file(curves.targets, output.targets_file, "csv")
        files.append(output.targets_file)
        note(f"what became of each star is in {output.targets_file}")
    if output.as_json:
        found = [to_json(points) for number in range(len(stars)) if len(points := curves.of(number))]
        targets = to_json(curves.targets)["points"]
        out.print_json(data={"targets": targets, "light_curves": found, "files": list(map(str, files))})
    elif not len(curves.table):
        raise DataError(f"none of the {len(stars)} stars has light curves")
    elif output.file is None and output.folder is None:
        text = StringIO()
        write_stream(curves.table, text, output.format_name)
        say(text.getvalue())
