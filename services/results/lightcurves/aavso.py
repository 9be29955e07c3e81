"""Light curves as AAVSO's WebObs takes them: Extended File Format 1.2.

The table of filters and the limits of fields are those of https://www.aavso.org/aavso-extended-file-format.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from services.errors import ConfigurationError, DataError
from services.results.lightcurves.points import column_of, differential, plain_text, usable_points
from services.results.lightcurves.portable import creator

COLUMNS = "NAME,DATE,MAG,MERR,FILT,TRANS,MTYPE,CNAME,CMAG,KNAME,KMAG,AMASS,GROUP,CHART,NOTES"
NAME_LENGTH, LABEL_LENGTH, CHART_LENGTH = 30, 20, 20
MOST_ERROR = 9.9999  # six characters
NOTHING = "na"
OTHER, UNFILTERED = "O", "CV"
DIFFERENTIAL, STANDARD = "DIF", "STD"
ENSEMBLE = "ENSEMBLE"
# The codes of the bands, and the names that cameras write for them. Capitals are Johnson's and Cousins' bands, small
# letters Sloan's; R is Cousins' R and never TR, the red of a colour camera.
FILTERS: dict[str, tuple[str, ...]] = {
    "U": ("Johnson U",),
    "B": ("Johnson B",),
    "V": ("Johnson V",),
    "R": ("Rc", "Cousins R"),
    "I": ("Ic", "Cousins I"),
    "RJ": ("Johnson R",),
    "IJ": ("Johnson I",),
    "J": (),
    "H": (),
    "K": ("Ks",),
    "SU": ("u", "up", "u'", "sdss_u", "Sloan u"),
    "SG": ("g", "gp", "g'", "sdss_g", "Sloan g"),
    "SR": ("r", "rp", "r'", "sdss_r", "Sloan r"),
    "SI": ("i", "ip", "i'", "sdss_i", "Sloan i"),
    "SZ": ("z", "zp", "z'", "sdss_z", "Sloan z"),
    "ZS": ("zs", "z_s"),
    "Y": (),
    "STU": (),
    "STV": (),
    "STB": (),
    "STY": (),
    "STHBW": (),
    "STHBN": (),
    "MA": (),
    "MB": (),
    "MI": (),
    "HA": ("Halpha", "H-alpha", "Ha", "H_alpha"),
    "HAC": (),
    "TB": ("Blue",),
    "TG": ("Green", "G1", "G2"),
    "TR": ("Red",),
    "CBB": (),
    UNFILTERED: ("Clear", "C", "L", "Lum", "Luminance", "Open", "none", ""),
    "CR": (),
    OTHER: (),
}
PLANES = {"R": "TR", "G1": "TG", "G2": "TG", "G": "TG", "B": "TB"}  # of a colour camera
_CODES = {name: code for code, names in FILTERS.items() for name in (code, *names)}
_FOLDED = {name.lower(): code for code, names in FILTERS.items() for name in names if len(name) != 1}
_OBSERVER = re.compile(r"[A-Za-z0-9]{1,5}")


@dataclass(frozen=True)
class Comparison:
    """A comparison or check star: its label, and its instrumental magnitude by calibrated image."""

    name: str
    magnitude: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StandardMagnitudes:
    """Magnitudes of the star's points on a standard scale, and how they were transformed to it."""

    code: str  # of AAVSO's filters, in which the magnitudes are
    magnitude: NDArray[np.float64]  # [n], NaN where there is none
    error: NDArray[np.float64]  # [n]
    statement: str
    camera_code: str = ""  # of the filter that they were taken in, where that is another

    def belong_to(self, code: str, told: str | None) -> bool:
        """Whether they are what is sent for a camera's filter, or for the code that the observer ``told``."""
        if told is not None:
            return told == self.code != OTHER  # which asks for Gaia's G
        return code == (self.camera_code or self.code)


@dataclass(frozen=True)
class Submission:
    """What a file for AAVSO says besides the points.

    ``band`` is the filter's code where the user tells it; ``plane`` the colour of a colour camera, if the observation
    is one. ``airmass`` is by calibrated image. Without a single ``comparison`` the reference stars are the ensemble.
    """

    observer: str
    name: str
    chart: str = NOTHING
    band: str | None = None
    plane: str = ""
    airmass: Mapping[int, float] = field(default_factory=dict)
    comparison: Comparison | None = None
    check: Comparison | None = None
    standard: StandardMagnitudes | None = None

    def __post_init__(self) -> None:
        if not _OBSERVER.fullmatch(self.observer):
            raise ConfigurationError(
                f"observer code {self.observer!r} is none of AAVSO's: expected 1 to 5 letters and digits (--observer)"
            )
        if not plain_text(self.name) or len(plain_text(self.name)) > NAME_LENGTH:
            raise ConfigurationError(
                f"star name {self.name!r} has no 1 to {NAME_LENGTH} characters: say the one that VSX has (--name)"
            )
        if self.band is not None and self.band not in FILTERS:
            raise ConfigurationError(f"band {self.band!r} is none of AAVSO's: expected one of {', '.join(FILTERS)}")


def filter_code(name: str, plane: str = "") -> str:
    """AAVSO's code of a camera's filter, `O` (other) where there is none; planes of colour cameras are TR, TG, TB."""
    name = name.strip()
    if plane and name == plane:
        return PLANES.get(plane, OTHER)
    return _CODES.get(name) or _FOLDED.get(name.lower(), OTHER)


def write_aavso(table: Table, stream: TextIO, submission: Submission) -> None:
    """Usable points of one aperture, Julian dates (UTC).

    Magnitudes are standard ones (``STD``, ``TRANS=YES``) where the submission has some in the filter's band; else
    differential (``DIF``) in the camera's own filter. Unfiltered and unknown bands have no scale but Gaia's G, where
    the frames have zero points: filter ``O``, ``STD``, and the notes say so. ``CV`` and ``CR`` would claim comparison
    stars of V or R.

    Raises:
        DataError: no usable point.
        ConfigurationError: points of several apertures.
    """
    points = usable_points(table)
    scale = _scale(table, points, submission)
    images = np.asarray(table["image_id"])[scale.points].tolist()
    stream.write(f"#TYPE=Extended\n#OBSCODE={submission.observer.upper()}\n#SOFTWARE={creator()}\n")
    stream.write(f"#DELIM=,\n#DATE=JD\n#OBSTYPE=CCD\n#{COLUMNS}\n")
    dates = column_of(table, "jd_utc")[scale.points]
    comparison, check = submission.comparison, submission.check
    for image, date, magnitude, error in zip(images, dates, scale.magnitude, scale.error, strict=True):
        values = (
            plain_text(submission.name),
            f"{date:.6f}",
            f"{magnitude:.4f}",
            f"{min(error, MOST_ERROR):.4f}",
            scale.code,
            "YES" if scale.is_transformed else "NO",
            scale.kind,
            ENSEMBLE if comparison is None else plain_text(comparison.name)[:LABEL_LENGTH],
            NOTHING if comparison is None else _number(comparison.magnitude.get(image), ".4f"),
            NOTHING if check is None else plain_text(check.name)[:LABEL_LENGTH],
            NOTHING if check is None else _number(check.magnitude.get(image), ".4f"),
            _number(submission.airmass.get(image), ".3f"),
            NOTHING,
            plain_text(submission.chart)[:CHART_LENGTH] or NOTHING,
            scale.notes,
        )
        stream.write(f"{','.join(values)}\n")


@dataclass(frozen=True)
class _Scale:
    """Which points have magnitudes, and of what kind."""

    points: NDArray[np.bool_]
    magnitude: NDArray[np.float64]
    error: NDArray[np.float64]
    code: str
    kind: str
    is_transformed: bool
    notes: str


def _scale(table: Table, points: NDArray[np.bool_], submission: Submission) -> _Scale:
    band = str(table.meta.get("filter", ""))
    code = submission.band or filter_code(band, submission.plane)
    notes = f"aperture {plain_text(table.meta.get('aperture_radius_px', ''))} px; filter {plain_text(band) or 'none'}"
    if submission.check is not None:
        notes += "; KMAG is -2.5 log10(ADU)"
    standard = submission.standard
    if standard is not None and standard.belong_to(code, submission.band):
        chosen = points & np.isfinite(standard.magnitude) & np.isfinite(standard.error)
        if chosen.any():
            values = standard.magnitude[chosen], standard.error[chosen]
            return _Scale(chosen, *values, standard.code, STANDARD, True, f"{plain_text(standard.statement)}; {notes}")
    has_no_scale = code in (OTHER, UNFILTERED) and submission.band in (None, OTHER)
    calibrated = points & np.isfinite(column_of(table, "mag")) & np.isfinite(column_of(table, "mag_error"))
    if has_no_scale and calibrated.any():
        values = column_of(table, "mag")[calibrated], column_of(table, "mag_error")[calibrated]
        return _Scale(calibrated, *values, OTHER, STANDARD, False, f"MAG is G of Gaia DR3; {notes}")
    if submission.band is not None and submission.band != filter_code(band, submission.plane):
        notes += f"; FILT {submission.band} as the observer says"
    if not points.any():
        raise DataError("no point has a magnitude")
    return _Scale(
        points, *differential(table, points), code, DIFFERENTIAL, False, f"against the reference stars; {notes}"
    )


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None or not np.isfinite(value) else format(value, form)
