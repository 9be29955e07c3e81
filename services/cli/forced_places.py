"""`--forced`: flux at places, whatever is there; `run` and `publish` ask for it, `lightcurve` shows it."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine

from schema import database
from schema.light_curve_rows import ApertureChoice
from services.cli.console import note, out, say
from services.cli.star_lists import TOLD_MOST, ListOutput
from services.destinations import require_replaceable
from services.errors import DataError
from services.results.lightcurves.export import write_file, write_stream
from services.results.lightcurves.formats import to_json
from services.results.lightcurves.observation_facts import observation_facts, with_light_curves
from services.results.lists.asked_places import asked_places
from services.results.lists.forced_curves import MEASURED, ForcedCurves, read_forced
from services.results.lists.list_file import Wanted, read_list, star_of
from services.settings import Settings


def with_forced(engine: Engine, settings: Settings, given: Sequence[str]) -> Settings:
    """Settings with the places of lists and stars besides those that they name.

    Raises:
        ConfigurationError: a list cannot be read, the place of a star is not known, or two have one name.
        TransientError: who knows the place is away.
    """
    wanted: list[Wanted] = []
    for one in given:
        wanted += read_list(Path(one)) if Path(one).is_file() else [Wanted(one, star_of(one))]
    places = asked_places(engine, settings, wanted)
    note(f"flux is measured at {len(places)} places, whatever is there")
    return settings.model_copy(update={"forced_places": tuple(dict.fromkeys((*settings.forced_places, *places)))})


def show_forced(
    engine: Engine,
    settings: Settings,
    wanted: Sequence[Wanted],
    numbers: Sequence[int],
    aperture: ApertureChoice,
    output: ListOutput,
) -> None:
    """Tell what was measured at each place, and write it.

    Raises:
        ConfigurationError: there is no such observation, or a file may not be written.
        DataError: nothing was measured at any of the places.
    """
    files = [path for path in (output.file, output.targets_file) if path is not None]
    with database.reading_factory(engine)() as session:
        require_replaceable(session, settings, files, force=output.force)
        chosen = [observation_facts(session, one) for one in dict.fromkeys(numbers)] or with_light_curves(session)
        found = read_forced(session, wanted, chosen, aperture)
    _tell(found)
    if not len(found.table) and not output.as_json:
        raise DataError(
            "flux was measured at none of the places: `tianyu publish OBSERVATION --forced LIST` asks for it"
        )
    if output.as_json:
        targets, points = (to_json(table)["points"] for table in (found.targets, found.table))
        out.print_json(data={"targets": targets, "forced_points": points, "files": list(map(str, files))})
    if output.file is not None:
        write_file(found.table, output.file, output.format_name)
        note(f"written to {output.file}")
    if output.targets_file is not None:
        write_file(found.targets, output.targets_file, "csv")
        note(f"what was measured at each place is in {output.targets_file}")
    if output.file is None and not output.as_json:
        from io import StringIO

        text = StringIO()
        write_stream(found.table, text, output.format_name)
        say(text.getvalue())


def _tell(found: ForcedCurves) -> None:
    for row in found.targets[:TOLD_MOST]:
        night = "" if not row["observation_id"] else f"observation {row['observation_id']}: "
        detections = f"{row['detections']} of {row['usable_points']} usable points above 3 errors; "
        note(f"{night}{row['target']}: {row['status']}: {detections * (row['status'] == MEASURED)}{row['reason']}")
    if len(found.targets) > TOLD_MOST:
        note(f"and {len(found.targets) - TOLD_MOST} more, as the table of targets says")
    note("these fluxes are forced: measured where somebody asked, not where a source was found")
