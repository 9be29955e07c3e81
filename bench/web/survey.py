"""A database of a survey: one long night of a rich field, and further nights of the stars in its middle.

Rows are as the steps would have left them, by the programs' own functions where there are millions; images have no
files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from pipeline.sky.astrometry.sphere import separation_arcsec
from pipeline.sky.healpix import cells
from pipeline.units import ARCSEC
from schema import database, partitions
from schema.base import table_of
from schema.found import FoundAlignment, FrameSight, Verdict
from schema.image import CALIBRATED, TEMPLATE, Image, ImageParent
from schema.observing import LIGHT, Filter, Instrument, Observation, Target
from schema.photometry import Aperture, Flux, LightCurveStatistics, ReferenceStar
from schema.processes import SUCCEEDED, Process, ProcessAttempt
from schema.queries.measurements import RelativeFluxes, insert_relative_fluxes, insert_rows
from schema.skies import Sky, Source, SourceCrossmatch, SourcePosition

FRAMES = 1_000  # of the long night
LATER_NIGHTS, LATER_FRAMES = 9, 20
CENTRE, WIDTH_DEG = (31.0, 46.7), 1.0
IN_THE_MIDDLE = 0.1  # of the stars, which the later nights saw too
BEGAN, JD0 = datetime(2026, 1, 1, 18), 2461042.3
FIRST_PID, A_NIGHT, OF_FRAMES = 1_700_000_000_000_000_000, 1_000_000, 1_000
DETECT, CALIBRATION, ANALYSIS = 10, 11, 12
A_FRAME = ("calibrate", "align", "extract")
STARS_AT_A_TIME = 200  # whose points are written at once
FLUX_COLUMNS = ("source_id", "image_id", "aperture", "flux", "flux_error", "flag")
LOCK_WAIT_S = 60
REFERENCES = 100


@dataclass(frozen=True)
class Survey:
    """What is asked about.

    Attributes:
        places: ra and dec of the stars, float64[n, 2], degrees; star ``i`` has ``ids[i]``.
        night: the observation of the long night.
    """

    ids: NDArray[np.int64]
    places: NDArray[np.float64]
    night: int

    @property
    def points(self) -> int:
        """Of all nights."""
        return FRAMES * self.ids.size + LATER_NIGHTS * LATER_FRAMES * self.seen_later

    @property
    def seen_later(self) -> int:
        """How many of the first stars the later nights saw."""
        return int(self.ids.size * IN_THE_MIDDLE)

    def nearest(self, count: int) -> tuple[NDArray[np.int64], float]:
        """The stars about the centre, and the radius that holds them and no others, degrees."""
        away = _from_centre(self.places)
        order = np.argsort(away)
        return self.ids[order[:count]], float(away[order[count - 1 : count + 1]].mean())


def _from_centre(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return separation_arcsec(places, np.array([CENTRE])) / ARCSEC


def survey_of(rows: int) -> Survey:
    """What ``fill`` makes of so many fluxes of the long night."""
    stars = max(200, rows // FRAMES)
    random = np.random.default_rng(1)
    places = np.array(CENTRE) + random.uniform(-WIDTH_DEG / 2, WIDTH_DEG / 2, (stars, 2)) / [
        np.cos(np.radians(CENTRE[1])),
        1.0,
    ]
    # The brightest are the nearest to the middle, so that later nights saw the first ones.
    places = places[np.argsort(np.hypot(*((places - CENTRE) * [np.cos(np.radians(CENTRE[1])), 1.0]).T))]
    return Survey(np.arange(1, stars + 1), places, 1)


def fill(engine: Engine, rows: int) -> Survey:
    """Write it all into a database that is set up and empty."""
    survey = survey_of(rows)
    sessions = database.session_factory(engine)
    with sessions.begin() as session:
        _write_field(session, survey)
    for number in range(1 + LATER_NIGHTS):
        night = Night(
            number,
            survey.ids if number == 0 else survey.ids[: survey.seen_later],
            FRAMES if number == 0 else LATER_FRAMES,
        )
        with sessions.begin() as session:
            night.write(session)
        if engine.dialect.name != "sqlite":  # as the manager does
            with database.changing(engine, LOCK_WAIT_S) as connection:
                partitions.arrange(connection, partitions.ROWS_PER_RANGE)
        for work in night.points():
            with sessions.begin() as session:
                work(session)
    return survey


def _many(session: Session, model: Any, rows: Sequence[dict[str, Any]]) -> None:
    session.execute(insert(table_of(model)), rows)


def _write_field(session: Session, survey: Survey) -> None:
    session.add(
        Sky(sky_id=1, name="field", created_at=BEGAN, ra_deg=CENTRE[0], dec_deg=CENTRE[1], radius_deg=WIDTH_DEG)
    )
    session.add_all([Target(target_id=1, name="field", kind=LIGHT), Filter(filter_id=1, name="R")])
    session.add(Instrument(instrument_id=1, name="camera", telescope=""))
    session.flush()
    found = zip(survey.ids.tolist(), survey.places.tolist(), cells(survey.places).tolist(), strict=True)
    stars = [
        {"source_id": one, "sky_id": 1, "pid": FIRST_PID + DETECT, "x": place[0], "y": place[1]}
        | {"ra_deg": place[0], "dec_deg": place[1], "healpix": cell}
        for one, place, cell in found
    ]
    _many(session, Source, stars)
    of_gaia = {"match_rank": 1, "pid": FIRST_PID + DETECT, "distance_arcsec": 0.1, "is_match": True, "g_mag": 14.0}
    _many(
        session,
        SourceCrossmatch,
        [of_gaia | {"source_id": one["source_id"], "gaia_source_id": one["source_id"]} for one in stars],
    )


class Night:
    """One observation of some of the stars."""

    def __init__(self, number: int, ids: NDArray[np.int64], frames: int) -> None:
        self._number, self._ids, self._frames = number, ids, frames
        self._pid = FIRST_PID + number * A_NIGHT
        self._observation = number + 1
        first = 1 + (0 if number == 0 else 2 * FRAMES + 1 + (number - 1) * (2 * LATER_FRAMES + 1))
        self._raw, self._images = np.arange(first, first + frames), np.arange(first + frames, first + 2 * frames)
        self._random = np.random.default_rng(number)

    def write(self, session: Session) -> None:
        """All but the points."""
        night = date(2026, 1, 1) + timedelta(days=self._number)
        shown = {
            "graph_pid": self._pid,
            "calibration_pid": self._pid + CALIBRATION,
            "analysis_pid": self._pid + ANALYSIS,
        }
        session.add(
            Observation(
                observation_id=self._observation, site_id=1, target_id=1, filter_id=1, instrument_id=1, night=night,
                exposure_s=20.0, binning="1x1", created_at=BEGAN, sky_id=1, **shown,
            )
        )  # fmt: skip
        session.flush()
        self._write_processes(session)
        self._write_images(session)
        self._write_stars(session)

    def _write_processes(self, session: Session) -> None:
        of_night = [(DETECT, "detect"), (CALIBRATION, "calibrate_relative"), (ANALYSIS, "analyze")]
        of_frames = [
            (OF_FRAMES * (step + 1) + frame, command)
            for step, command in enumerate(A_FRAME)
            for frame in range(self._frames)
        ]
        common = {"graph_pid": self._pid, "parameters": "{}", "site_id": 1, "group_id": 1, "status": SUCCEEDED}
        common |= {
            "observation_id": self._observation,
            "attempt": 1,
            "created_at": BEGAN,
            "finished_at": BEGAN,
            "propagated": True,
        }
        attempt = {"attempt": 1, "worker": "w", "host": "h", "version": "0", "started_at": BEGAN, "finished_at": BEGAN}
        attempt |= {"outcome": SUCCEEDED, "seconds": 1.0, "cpu_seconds": 0.5}
        every = [*of_night, *of_frames]
        _many(session, Process, [common | {"pid": self._pid + offset, "command": command} for offset, command in every])
        _many(session, ProcessAttempt, [attempt | {"pid": self._pid + offset} for offset, _ in every])

    def _write_images(self, session: Session) -> None:
        common = {"site_id": 1, "observation_id": self._observation, "nx": 2048, "ny": 2048, "exposure_s": 20.0}
        rows = []
        for frame, (raw, image) in enumerate(zip(self._raw.tolist(), self._images.tolist(), strict=True)):
            times = {"jd_utc": JD0 + self._number + 3e-4 * frame, "bjd_tdb": JD0 + self._number + 3e-4 * frame + 0.004}
            made = {
                "pid": self._pid + OF_FRAMES + frame,
                "graph_pid": self._pid,
                "star_count": 900,
                "fwhm": 3.1,
                "ellipticity": 0.05,
            }
            made |= {"background": 300.0, "background_rms": 12.0}
            nothing = dict.fromkeys(made)
            rows.append(common | times | nothing | _file(raw, "raw") | {"image_id": raw, "kind": LIGHT})
            rows.append(common | times | made | _file(image, "calibrated") | {"image_id": image, "kind": CALIBRATED})
        template = int(self._images[-1]) + 1
        made = {"pid": self._pid + 1, "graph_pid": self._pid}
        _many(session, Image, rows)
        _many(session, Image, [common | made | _file(template, "template") | {"image_id": template, "kind": TEMPLATE}])
        both = zip(self._raw.tolist(), self._images.tolist(), strict=True)
        _many(session, ImageParent, [{"image_id": image, "parent_id": raw} for raw, image in both])
        each = self._images.tolist()
        laid = {
            "pid": self._pid + 3,
            "dx": 1.0,
            "dy": -1.0,
            "rotation_deg": 0.0,
            "scale": 1.0,
            "rms": 0.1,
            "matches": 90,
        }
        _many(session, FoundAlignment, [laid | {"image_id": image} for image in each])
        judged = {"pid": self._pid + 4, "weight": 1.0}
        bad = {each[len(each) // 2]: "12 stars, expected 400 to 900"}
        _many(
            session,
            Verdict,
            [judged | {"image_id": image, "good": image not in bad, "reason": bad.get(image)} for image in each],
        )
        seen = {"pid": self._pid + 5, "airmass": 1.2, "altitude_deg": 55.0, "azimuth_deg": 100.0}
        _many(
            session,
            FrameSight,
            [seen | {"image_id": image, "bjd_tdb": JD0 + self._number + 3e-4 * n} for n, image in enumerate(each)],
        )

    def _write_stars(self, session: Session) -> None:
        ids = self._ids.tolist()
        found = {"pid": self._pid + DETECT, "x": 100.0, "y": 100.0, "flag": 0}
        _many(session, SourcePosition, [found | {"source_id": one, "flux": 1e6 / one} for one in ids])
        aperture = {"graph_pid": self._pid, "aperture": 0, "observation_id": self._observation, "radius": 4.0}
        _many(session, Aperture, [aperture | {"annulus_inner": 12.0, "annulus_outer": 20.0}])
        part = {"pid": self._pid + CALIBRATION, "aperture": 0, "method": "ensemble", "reference_group": 0}
        _many(
            session,
            ReferenceStar,
            [
                part
                | {
                    "source_id": one,
                    "is_reference": one <= REFERENCES,
                    "role": "reference" if one <= REFERENCES else None,
                    "weight": 1.0 if one <= REFERENCES else None,
                }
                for one in ids
            ],
        )
        known = {
            "pid": self._pid + ANALYSIS,
            "aperture": 0,
            "observation_id": self._observation,
            "calibration_pid": self._pid + CALIBRATION,
        }
        known |= {"epochs": self._frames, "scatter": 0.01, "best_aperture": True}
        _many(session, LightCurveStatistics, [known | {"source_id": one, "flux_median": 1e6 / one} for one in ids])

    def points(self) -> Iterator[Callable[[Session], None]]:
        """What writes the points: some stars at a time, in the order of the tables' keys.

        Frame by frame, as the programs write, takes five times as long; `make bench-storage` measures that.
        """
        images = self._images.tolist()
        for start in range(0, self._ids.size, STARS_AT_A_TIME):
            ids = self._ids[start : start + STARS_AT_A_TIME]
            flux = 1e6 / ids[:, None] * self._random.normal(1.0, 0.01, (ids.size, self._frames))
            rows = zip(
                *(np.repeat(ids, self._frames).tolist(), images * ids.size, repeat(0)),
                *(flux.ravel().tolist(), np.sqrt(flux).ravel().tolist(), repeat(0)),
                strict=False,
            )
            curves = {0: RelativeFluxes(*self._random.normal(1.0, 0.01, (2, *flux.shape)))}

            def write(session: Session, ids: Any = ids, rows: Any = rows, curves: Any = curves) -> None:
                insert_rows(session, table_of(Flux), FLUX_COLUMNS, rows)
                insert_relative_fluxes(session, self._pid + CALIBRATION, ids, self._images, curves)

            yield write


def _file(number: int, folder: str) -> dict[str, Any]:
    return {"path": f"{folder}/{number}.fits", "path_digest": f"{number:032d}"}
