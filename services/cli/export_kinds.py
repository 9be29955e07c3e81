"""What `tianyu export` does for each of its formats; each gives the files or folders that were written."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema import database
from schema.image import TEMPLATE, Image
from schema.light_curve_rows import ApertureChoice
from services.cli.console import counting, note
from services.cli.star_choice import star_to_show
from services.destinations import require_replaceable
from services.errors import DataError
from services.image_store import open_store
from services.own_site import has_template, require_observation
from services.results.lightcurves.observation_facts import (
    ObservationFacts,
    observation_facts,
    with_light_curves,
    without_copies,
)
from services.results.lightcurves.selection import find_source
from services.results.plots.roles import read_targets
from services.results.positions import Star
from services.settings import Settings
from services.setup import open_database
from services.whole_files import whole_file


def export_layout(settings: Settings, number: int, star: Star | None, output: Path, force: bool) -> list[Path]:
    """The files of QLCP."""
    from services.results.layouts import qlcp

    engine = open_database(settings)
    targets = _targets(settings, number, star)
    if not targets:
        raise DataError(f"observation {number} has no star to be exported: name one (--target, --xy, --source)")
    with database.reading_factory(engine)() as session:
        facts = observation_facts(session, number)
        stars = [find_source(session, facts, source_id=source_id) for source_id in targets]
        catalogue = qlcp.read_catalogue(session, facts, stars)
        require_replaceable(session, settings, [output / name for name in qlcp.files_of(catalogue)], force=force)
        is_here = has_template(session, settings.site, require_observation(session, number))
        images = open_store(settings.root) if is_here else None
        written, left_out = qlcp.write_all(session, images, catalogue, output)
    for reason in left_out:
        note(reason)
    return written


def export_regions(settings: Settings, number: int, star: Star | None, output: Path, force: bool) -> list[Path]:
    """The regions of DS9."""
    from services.results.layouts.ds9_regions import regions_text

    targets = _targets(settings, number, star)
    with database.reading_factory(open_database(settings))() as session:
        require_replaceable(session, settings, [output], force=force)
        text = regions_text(session, observation_facts(session, number), targets)
    with whole_file(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [output]


def export_report(settings: Settings, number: int, star: Star | None, output: Path, force: bool) -> list[Path]:
    """One page on the night, or on the star that is named."""
    from services.results.lightcurves.reading import read_light_curve
    from services.results.reports.night_report import night_report
    from services.results.reports.star_report import star_report

    engine = open_database(settings)
    source_id = None if star is None else star_to_show(engine, settings, number, star)
    with database.reading_factory(engine)() as session:
        require_replaceable(session, settings, [output], force=force)
        facts = observation_facts(session, number)
        is_here = has_template(session, settings.site, require_observation(session, number))
        images = open_store(settings.root) if is_here else None
        if source_id is None:
            return [night_report(session, images, facts, output)]
        curve = read_light_curve(session, facts, find_source(session, facts, source_id=source_id))
        return [star_report(session, images, curve, output)]


def export_cutout(
    settings: Settings, number: int, star: Star | None, size: int, output: Path, force: bool
) -> list[Path]:
    """The template around a star, with coordinates where the field is solved."""
    from services.results.cutouts import Cutout, box_around, wcs_of_image

    engine = open_database(settings)
    source_id = star_to_show(engine, settings, number, star)
    if source_id is None:
        raise DataError(f"observation {number} has no star to cut out: name one (--target, --xy, --source)")
    with database.reading_factory(engine)() as session:
        require_replaceable(session, settings, [output], force=force)
        facts = observation_facts(session, number)
        template = session.scalar(
            select(Image).where(Image.graph_pid == facts.graph_pid, Image.kind == TEMPLATE).limit(1)
        )
        is_here = has_template(session, settings.site, require_observation(session, number))
        if template is None or template.deleted_at is not None or not is_here:
            raise DataError(
                f"observation {number} has no template here to cut from: `tianyu status {number}` tells why"
            )
        place = find_source(session, facts, source_id=source_id)
        box = box_around((place.template_x, place.template_y), size, (template.ny or 0, template.nx or 0))
        assert box is not None, "a source lies on its template"
        cutout = Cutout(template.image_id, template.path, box, wcs_of_image(session, template))
        if cutout.wcs is None:
            note("the field is not solved: the cutout has no coordinates on the sky")
        with whole_file(output) as temporary, temporary.open("wb") as file:
            file.writelines(cutout.parts(open_store(settings.root)))
    return [output]


def export_frame_cutouts(
    settings: Settings, number: int, star: Star | None, size: int, output: Path, force: bool, chosen: Sequence[int]
) -> list[Path]:
    """Calibrated frames around a star: those that are chosen, else all good ones; a file each, in a folder.

    Of one chosen frame ``output`` is the file.
    """
    from services.results.cutouts import frame_cutouts

    engine = open_database(settings)
    source_id = star_to_show(engine, settings, number, star)
    if source_id is None:
        raise DataError(f"observation {number} has no star to cut out: name one (--target, --xy, --source)")
    store, written = open_store(settings.root), []
    with database.reading_factory(engine)() as session:
        facts = observation_facts(session, number)
        place = find_source(session, facts, source_id=source_id)
        found, left_out = frame_cutouts(
            session, facts, settings.site, (place.template_x, place.template_y), size, chosen
        )
        is_file = len(chosen) == 1 and output.suffix.lower() == ".fits"
        files = [output if is_file else output / f"{source_id}-{cutout.image_id}.fits" for cutout in found]
        require_replaceable(session, settings, files, force=force)
        for reason in left_out:
            note(reason)
        if not is_file:
            output.mkdir(parents=True, exist_ok=True)
        with counting("cutouts") as told:
            for cutout, path in zip(found, files, strict=True):
                with whole_file(path) as temporary, temporary.open("wb") as file:
                    file.writelines(cutout.parts(store))
                written.append(path)
                told(len(written), len(files))
    return written


def export_nights(
    settings: Settings, numbers: Sequence[int], aperture: int | None, output: Path, force: bool
) -> list[Path]:
    """Nights as Parquet."""
    from services.results.survey.night_files import night_file, write_night

    written = []
    with database.reading_factory(open_database(settings))() as session:
        nights = _nights(session, numbers, is_best=aperture is None)
        require_replaceable(session, settings, [night_file(output, one) for one in nights], force=force)
        for one in nights:
            with counting(f"observation {one.observation_id}") as told:
                path, points, without = write_night(session, one, output, aperture, told)
            lost = f"; {without} stars have none: too few were usable to choose an aperture by" if without else ""
            note(f"observation {one.observation_id} ({one.title}): {points} points{lost}")
            written.append(path)
    return written


def export_forced(
    settings: Settings, numbers: Sequence[int], aperture: ApertureChoice, output: Path, force: bool
) -> list[Path]:
    """Fluxes at places that were asked for, as Parquet."""
    from services.results.lists.forced_curves import NOBODY_ASKED
    from services.results.survey.forced_files import forced_file, write_forced

    written = []
    with database.reading_factory(open_database(settings))() as session:
        nights = _nights(session, numbers, is_best=False)
        require_replaceable(session, settings, [forced_file(output, one) for one in nights], force=force)
        for one in nights:
            path, points = write_forced(session, one, output, aperture)
            note(f"observation {one.observation_id} ({one.title}): {points} points")
            written += [] if path is None else [path]
    if not written:
        raise DataError(NOBODY_ASKED)
    return written


@contextmanager
def _for_catalog(
    settings: Settings, numbers: Sequence[int], output: Path, force: bool, *, is_best: bool, rows: str
) -> Iterator[tuple[Session, list[ObservationFacts], Callable[[int, int], None]]]:
    """What writes a HATS catalogue: a session, its nights, and whom to tell of ``rows``, where it may be written."""
    from services.results.survey.hats_layout import PROPERTIES, require_own

    with database.reading_factory(open_database(settings))() as session:
        require_replaceable(session, settings, [output / PROPERTIES], force=force)
        require_own(output)
        nights = _nights(session, numbers, is_best=is_best)
        with counting(rows) as told:
            yield session, nights, told


def export_catalog(settings: Settings, numbers: Sequence[int], output: Path, force: bool) -> list[Path]:
    """A HATS catalogue."""
    from services.results.survey.hats_catalog import write_catalog

    with _for_catalog(settings, numbers, output, force, is_best=True, rows="stars") as (session, nights, told):
        stars, points, without = write_catalog(session, nights, output, told)
    note(f"{stars} stars with {points} points of {len(nights)} observations")
    if without:
        note(f"{without} stars are left out: their fields have no coordinates (`tianyu status` tells why)")
    return [output]


def export_places(settings: Settings, numbers: Sequence[int], output: Path, force: bool) -> list[Path]:
    """A HATS catalogue of places that were asked for."""
    from services.results.survey.hats_places import write_places

    with _for_catalog(settings, numbers, output, force, is_best=False, rows="places") as (session, nights, told):
        places, points = write_places(session, nights, output, told)
    note(f"{places} places with {points} points of {len(nights)} observations")
    return [output]


def _targets(settings: Settings, number: int, star: Star | None) -> list[int]:
    """The star that is named, else those of the calibration, else the one that plots show."""
    engine = open_database(settings)
    with database.reading_factory(engine)() as session:
        facts = observation_facts(session, number)
        targets = [] if star is not None else read_targets(session, facts)
    if not targets:
        shown = star_to_show(engine, settings, number, star)
        targets = [] if shown is None else [shown]
    return targets


def _nights(session: Session, numbers: Sequence[int], *, is_best: bool) -> list[ObservationFacts]:
    """The observations that are named, or all that can be exported; of what is left out it is said why."""
    from services.results.survey.survey_points import require_analysed

    if numbers:
        named = [observation_facts(session, number) for number in numbers]
        for one in named:
            if is_best:
                require_analysed(one)
        return named
    kept, copies = without_copies(session, with_light_curves(session))
    for one in copies:
        note(f"observation {one.observation_id} of site {one.site} has the same frames as another: left out")
    if is_best:
        for one in kept:
            if one.analysis_pid is None:
                note(f"observation {one.observation_id} ({one.title}) is not analysed yet: left out")
        kept = [one for one in kept if one.analysis_pid is not None]
    if not kept:
        raise DataError("no observation has light curves yet: `tianyu status` shows what is still to be done")
    return kept
