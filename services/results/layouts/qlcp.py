"""QLCP's files of one observation: catalogue, calibrated light curves, offsets, finding chart and plots.

Names and columns are those of its manual; pickles are left out, for reading one runs what it holds. An aperture is
named by its diameter in pixels, stars by their place in the catalogue: the targets first, then references, then checks.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.image import Image, ImageParent
from schema.observing import LIGHT
from services.errors import DataError
from services.image_store import ImageStore
from services.results.lightcurves.observation_facts import ObservationFacts
from services.results.lightcurves.reading import LightCurve, barycentric_times, read_light_curve
from services.results.lightcurves.selection import SourceFacts, find_source
from services.results.plots.finding_chart import finding_chart
from services.results.plots.light_curve_plot import draw_light_curve
from services.results.plots.night_frames import Frames, read_frames
from services.results.plots.offsets_plot import frame_offsets
from services.results.plots.roles import read_roles
from services.whole_files import make_folder, whole_file

MOST_REFERENCES = 20  # the heaviest, as many as QLCP picks
MOST_NAMED = 20  # references whose numbers stand in a file's name
INSTRUMENT_ZERO_POINT = 25.0  # mag, of instrumental magnitudes: SExtractor's custom
MAG_PER_RELATIVE_ERROR = 2.5 / np.log(10.0)
FIRST_PIXEL = 1.0  # as SExtractor and DS9 count
NO_BAND = "N"  # as XZUT-80LCP calls it

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Star:
    """A star of the catalogue: its part (target, reference, check) and its light curve in all apertures."""

    role: str
    curve: LightCurve


@dataclass(frozen=True)
class Catalogue:
    """All that the files tell: t frames, n stars, by aperture; NaN where a star was not measured well."""

    observation: ObservationFacts
    frames: Frames
    files: list[str]
    stars: list[Star]
    apertures: dict[int, str]  # diameter by index

    @cached_property
    def name(self) -> str:
        """Object and band, as file names have them."""
        return f"{self.object}_{_plain(self.observation.filter) or NO_BAND}"

    @property
    def object(self) -> str:
        """The target, of letters that any file name may have."""
        return _plain(self.observation.target) or "object"

    def numbers(self, role: str) -> list[int]:
        """Places of the stars with this part."""
        return [number for number, star in enumerate(self.stars) if star.role == role]

    def values(self, column: str, aperture: int) -> Floats:
        """float64[t, n]; of points that may be used."""
        found = np.full((self.frames.image_id.size, len(self.stars)), np.nan)
        rows = {image: row for row, image in enumerate(self.frames.image_id.tolist())}
        for number, star in enumerate(self.stars):
            table = star.curve.table
            chosen = star.curve.usable & (np.asarray(table["aperture"]) == aperture)
            for image, value in zip(
                np.asarray(table["image_id"])[chosen].tolist(), star.curve.values(column)[chosen].tolist(), strict=True
            ):
                found[rows[image], number] = value
        return found

    @cached_property
    def bjd(self) -> Floats:
        """BJD(TDB) of each frame, at the first target: float64[t]."""
        table = self.stars[0].curve.table
        times = dict(zip(np.asarray(table["image_id"]).tolist(), barycentric_times(table).tolist(), strict=True))
        return np.array([times.get(image, np.nan) for image in self.frames.image_id.tolist()])

    @property
    def references_shown(self) -> str:
        """The references' numbers in file names."""
        numbers = self.numbers("reference")
        return "_".join(f"c{number:02d}" for number in numbers) if len(numbers) <= MOST_NAMED else f"c{len(numbers)}"


def files_of(catalogue: Catalogue) -> list[str]:
    """Names of all files, relative to the folder."""
    return [*_tables(catalogue), *_texts(catalogue), *(f"{name}" for name in _plots(catalogue))]


def _plots(catalogue: Catalogue) -> tuple[str, ...]:
    name = catalogue.name
    return f"finding_{name}.png", f"offset_{name}.png", f"lc_{name}.png", f"lc_{name}.pdf"


def read_catalogue(session: Session, observation: ObservationFacts, targets: Sequence[SourceFacts]) -> Catalogue:
    """The targets with the references and checks of the first one's calibration.

    Raises:
        DataError: there are no light curves yet.
    """
    roles = read_roles(session, observation, targets[0])
    chosen = dict.fromkeys((star.source_id for star in targets), "target")
    references = [one for one in roles.references if one not in chosen][:MOST_REFERENCES]
    chosen |= dict.fromkeys(references, "reference")
    chosen |= {one: "check" for one in roles.checks if one not in chosen}
    stars = []
    for source_id, role in chosen.items():
        source = find_source(session, observation, source_id=source_id)
        try:
            stars.append(Star(role, read_light_curve(session, observation, source, "all")))
        except DataError:
            if role == "target":
                raise
    apertures = {number: f"{2.0 * radius:.4g}" for number, radius in stars[0].curve.radii.items()}
    if len(set(apertures.values())) < len(apertures):  # a Kron aperture beside a circle
        apertures = {number: f"{name}_{number}" for number, name in apertures.items()}
    frames = read_frames(session, observation)
    return Catalogue(observation, frames, _files(session, frames), stars, apertures)


def write_all(
    session: Session, images: ImageStore | None, catalogue: Catalogue, folder: Path
) -> tuple[list[Path], list[str]]:
    """Write the files; returns them, and why a plot was left out.

    Raises:
        ConfigurationError: a file cannot be written.
    """
    written = []
    for name, table in _tables(catalogue).items():
        with whole_file(_made(folder / name)) as temporary:
            table.writeto(temporary)
        written.append(folder / name)
    for name, text in _texts(catalogue).items():
        with whole_file(_made(folder / name)) as temporary:
            temporary.write_text(text, encoding="utf-8")
        written.append(folder / name)
    left_out = []
    for name, draw in zip(_plots(catalogue), _drawings(session, images, catalogue), strict=True):
        try:
            written.append(draw(folder / name))
        except DataError as error:
            left_out.append(f"{name} is left out: {error}")
    return written, left_out


def _drawings(session: Session, images: ImageStore | None, catalogue: Catalogue) -> tuple[Callable[[Path], Path], ...]:
    observation, target = catalogue.observation, catalogue.stars[0].curve.source

    def light_curve(path: Path) -> Path:
        return draw_light_curve(read_light_curve(session, observation, target), path)

    return (
        lambda path: finding_chart(session, images, observation, target, path),
        lambda path: frame_offsets(session, observation, path),
        light_curve,
        light_curve,
    )


def _made(path: Path) -> Path:
    make_folder(path.parent)
    return path


def _files(session: Session, frames: Frames) -> list[str]:
    """Names of the camera's files, by calibrated image."""
    rows = session.execute(
        select(ImageParent.image_id, Image.path)
        .join(Image, Image.image_id == ImageParent.parent_id)
        .where(ImageParent.image_id.in_(frames.image_id.tolist()), Image.kind == LIGHT)
    )
    names = {image_id: PurePath(path).name for image_id, path in rows}
    return [names.get(image_id, "") for image_id in frames.image_id.tolist()]


def _tables(catalogue: Catalogue) -> Mapping[str, fits.HDUList]:
    frames = Table({"File": _ascii(catalogue.files), "JD": catalogue.frames.jd_utc, "BJD": catalogue.bjd})
    frames["Airmass"], frames["FWHM"] = catalogue.frames.airmass, catalogue.frames.fwhm
    frames["Good"] = catalogue.frames.good
    calibrated = Table({"BJD": catalogue.bjd})
    targets, checks = catalogue.numbers("target"), catalogue.numbers("check")
    for aperture, name in catalogue.apertures.items():
        flux, error = (catalogue.values(column, aperture) for column in ("flux_raw", "flux_raw_error"))
        frames[f"Flux{name}"], frames[f"FluxErr{name}"] = flux, error
        frames[f"Mag{name}"], frames[f"Err{name}"] = _magnitudes(flux, error, INSTRUMENT_ZERO_POINT)
        magnitude, error = _calibrated(catalogue, aperture)
        for role, numbers in (("Target", targets), ("Check", checks)):
            if numbers:
                calibrated[f"Cali{role}{name}"], calibrated[f"Err{role}{name}"] = (
                    magnitude[:, numbers],
                    error[:, numbers],
                )
    return {
        f"cata_{catalogue.name}.fits": _hdus(CATALOGUE=frames, STARS=_stars(catalogue)),
        f"cali_{catalogue.name}.fits": _hdus(CALIBRATED=calibrated, STARS=_stars(catalogue)),
    }


def _stars(catalogue: Catalogue) -> Table:
    sources = [star.curve.source for star in catalogue.stars]
    sky = [(np.nan if s.ra_deg is None else s.ra_deg, np.nan if s.dec_deg is None else s.dec_deg) for s in sources]
    return Table(
        {
            "Number": np.arange(len(sources)),
            "Role": [star.role for star in catalogue.stars],
            "X": [source.x + FIRST_PIXEL for source in sources],
            "Y": [source.y + FIRST_PIXEL for source in sources],
            "RA": [ra for ra, _ in sky],
            "DEC": [dec for _, dec in sky],
            "SourceID": [source.source_id for source in sources],
        }
    )


def _hdus(**tables: Table) -> fits.HDUList:
    return fits.HDUList([fits.PrimaryHDU(), *(fits.table_to_hdu(table, name=name) for name, table in tables.items())])


def _texts(catalogue: Catalogue) -> Mapping[str, str]:
    found = {
        f"lst/{catalogue.name}.lst": "".join(f"{name}\n" for name in catalogue.files),
        f"offset_{catalogue.name}.txt": "".join(
            f"{jd:15.7f} {dx:10.3f} {dy:10.3f} {name}\n"
            for jd, dx, dy, name in zip(
                catalogue.frames.jd_utc, catalogue.frames.aligned("dx"), catalogue.frames.aligned("dy"),
                catalogue.files, strict=True,
            )
        ),
    }  # fmt: skip
    for aperture, diameter in catalogue.apertures.items():
        magnitude, error = _calibrated(catalogue, aperture)
        for role, short in (("target", "vc"), ("check", "chk")):
            for number in catalogue.numbers(role):
                file = f"{catalogue.name}_{short}{number:02d}_{catalogue.references_shown}.txt"
                found[f"cali_{catalogue.object}_AP{diameter}/{file}"] = "".join(
                    f"{bjd:15.7f} {mag:8.5f} {err:7.5f}\n"
                    for bjd, mag, err in zip(catalogue.bjd, magnitude[:, number], error[:, number], strict=True)
                    if np.isfinite(mag)
                )
    return found


def _calibrated(catalogue: Catalogue, aperture: int) -> tuple[Floats, Floats]:
    """Magnitudes relative to the reference stars, median 0, and their errors: float64[t, n]."""
    flux, error = (catalogue.values(column, aperture) for column in ("flux_relative", "flux_relative_error"))
    return _magnitudes(flux, error, 0.0)


def _magnitudes(flux: Floats, error: Floats, zero_point: float) -> tuple[Floats, Floats]:
    positive = np.where(flux > 0.0, flux, np.nan)
    return zero_point - 2.5 * np.log10(positive), MAG_PER_RELATIVE_ERROR * error / positive


def _plain(name: str) -> str:
    """Letters, digits and a few signs: no name from a header leads out of the folder."""
    return re.sub(r"[^A-Za-z0-9+.-]+", "", name).strip(".")[:64]


def _ascii(names: Sequence[str]) -> list[str]:
    return [name.encode("ascii", errors="backslashreplace").decode() for name in names]
