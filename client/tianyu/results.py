"""What Tianyu made, as astropy tables: light curves, frames, images, observations."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from sqlalchemy import text

from tianyu.asking import Asked, Database
from tianyu.columns import table_of, table_of_points
from tianyu.errors import NotFoundError
from tianyu.forced_fluxes import SAME_PLACE_ARCSEC, forced
from tianyu.light_curve_rows import NUMBERS, ApertureChoice, Points
from tianyu.targets import TOLERANCE_ARCSEC, Target, sources_of

LIGHT_CURVE = (
    *("source_id", "observation_id", "image_id", "jd_utc", "bjd_tdb", "bjd_tdb_source", "aperture"),
    *("flux_relative", "flux_relative_error", "flux_detrended", "flux_detrended_error", "mag", "mag_error"),
    *("flux_raw", "flux_raw_error", "flag", "usable", "image_good", "is_reference", "reference_group"),
    *("method", "aperture_best"),
)
_SHOWN = ("observation_id", "target", "filter", "instrument", "telescope", "night", "exposure_s", "tianyu_version")


class Results:
    """Results of Tianyu's, opened for reading. Tables have units, times with their scales, and NULL masked."""

    def __init__(self, asked: Asked) -> None:
        """Use `tianyu.open`."""
        self._asked = asked
        self.place = asked.place

    def __repr__(self) -> str:
        return f"<Tianyu results in {self.place}>"

    def query(self, sql: str, /, **parameters: Any) -> Table:
        """The rows of a query of one's own, as a table; parameters stand in it as ``:name``.

        Raises:
            NotFoundError: the results are asked over HTTP.
        """
        if not isinstance(self._asked, Database):
            raise NotFoundError(
                f"{self.place} takes no SQL: ask its tables in ADQL, as in pyvo.dal.TAPService({self.place + '/tap'!r})"
            )
        with self._asked.engine.connect() as connection:
            found = connection.execute(text(sql), parameters)
            names = list(found.keys())
            return table_of(names, [tuple(row) for row in found])

    def observations(self) -> Table:
        """Observations of targets: `tianyu_version` is masked where there are no light curves yet."""
        rows = self._observations()
        result = table_of(_SHOWN, [tuple(row[name] for name in _SHOWN) for row in rows.values()])
        result.meta["database"] = self.place
        return result

    def light_curve(
        self,
        target: Target,
        *,
        observation: int | Sequence[int] | None = None,
        filter: str | None = None,
        aperture: int | str = "best",
        usable_only: bool = True,
        within_arcsec: float = TOLERANCE_ARCSEC,
    ) -> Table:
        """The light curve of one star, by time: of all observations that have it, or of some.

        Args:
            target: source id, name, ``Gaia DR3 NUMBER``, place (degrees, text or `SkyCoord`), pixels
                (``424px,286px``, of the observation's first frame).
            observation: ids; None: all.
            filter: name of a band; None: all.
            aperture: ``best`` (in which the star should scatter least), ``all``, or an index.
            usable_only: without points that were not measured well (`flag` tells why).
            within_arcsec: how far from a place the source may lie.

        Returns:
            A table with ``time`` first: BJD(TDB) of the star, else of the field's centre; `meta` says which.

        Raises:
            NotFoundError: there is no such star, or nothing was measured of it.
        """
        found = self.light_curves(
            [target], observation=observation, filter=filter, aperture=aperture, usable_only=usable_only,
            within_arcsec=within_arcsec,
        )  # fmt: skip
        if not len(found):
            raise NotFoundError(
                f"{target!r} has no {'usable ' * usable_only}points there: `observations()` lists what there is"
            )
        found.remove_column("target")
        del found.meta["missing"]
        found.meta["target"] = str(target)
        return found

    def light_curves(
        self,
        targets: Sequence[Target],
        *,
        observation: int | Sequence[int] | None = None,
        filter: str | None = None,
        aperture: int | str = "best",
        usable_only: bool = True,
        within_arcsec: float = TOLERANCE_ARCSEC,
        missing: Literal["raise", "skip"] = "raise",
    ) -> Table:
        """Light curves of many stars in one table, by one query for each thousand; arguments as in `light_curve`.

        ``target`` is the place in the list; ``table.group_by("target").groups`` has a table for each star.

        Args:
            missing: ``raise`` where a star is not known; ``skip``: the table has the others.

        Returns:
            A table whose ``meta["missing"]`` says of each star without points, by its place in the list, why.

        Raises:
            NotFoundError: some of the stars are not known.
        """
        if missing not in ("raise", "skip"):
            raise NotFoundError(f"missing={missing!r}: expected 'raise' or 'skip'")
        observations = self._chosen(observation, filter)
        ids, lost = sources_of(self._asked, list(targets), within_arcsec, observations)
        if lost and missing == "raise":
            others = f" ({len(lost) - 1} more stars of the list are not known; missing='skip' takes the others)"
            raise NotFoundError(lost[min(lost)] + others * (len(lost) > 1))
        sources = sorted({one for star in ids for one in star})
        found = self._asked.points(sources, list(observations), _aperture(aperture), usable_only=usable_only)
        table = self._together(found, ids, observations, aperture)
        there = set(np.asarray(table["target"]).tolist())
        without = f"no {'usable ' * usable_only}points in these observations"
        table.meta["missing"] = {i: lost.get(i, without) for i in range(len(ids)) if i not in there}
        return table

    def forced(
        self,
        targets: Sequence[Target] | None = None,
        *,
        observation: int | Sequence[int] | None = None,
        filter: str | None = None,
        aperture: int | str = "best",
        usable_only: bool = True,
        within_arcsec: float = SAME_PLACE_ARCSEC,
    ) -> Table:
        """Flux at places where `tianyu publish --forced` measured it, whatever is there, and upper limits.

        Args:
            targets: names as they were asked for, or places; None: all.
            observation, filter: as in `light_curves`.
            aperture: ``best`` is the smallest circle; ``all``, or an index.
            usable_only: without points that were not measured well (`flag` tells why).
            within_arcsec: how far from a place that is given the one may lie that was asked for.

        Returns:
            A table; ``place`` is the place in the list, ``forced`` is true in each row. ``flux_forced`` may be
            negative; ``flux_limit`` and ``mag_limit`` are masked where it is more than three times its error.
            ``meta["places"]`` says where each place lies and what is next to it, ``meta["missing"]`` what has no
            points, and why.
        """
        chosen = self._chosen(observation, filter)
        return forced(self._asked, targets, chosen, _aperture(aperture), within_arcsec, usable_only=usable_only)

    def frames(self, observation: int | None = None) -> Table:
        """Frames of the camera with what was made of them; of one observation or of all."""
        if observation is None:
            result = table_of(*self._asked.rows("frames"))
        else:
            result = table_of(*self._asked.rows("frames_of", observation=int(observation)))
        result.meta["database"] = self.place
        return result

    def images(self, observation: int | None = None, kind: str | None = None) -> Table:
        """Images that were made and are there: calibrated ones, masters, templates; ``file`` is the whole path.

        Args:
            observation: of one alone.
            kind: `calibrated`, `template`, `master_bias`, `master_dark` or `master_flat` alone.
        """
        of_kind = {"kind": "%" if kind is None else str(kind)}
        if observation is None:
            result = table_of(*self._asked.rows("images", **of_kind))
        else:
            result = table_of(*self._asked.rows("images_of", observation=int(observation), **of_kind))
        paths = zip(result["file"], result["path"], strict=True)
        result.replace_column("file", Column([str(PurePosixPath(root) / path) for root, path in paths], dtype=str))
        result.meta["database"] = self.place
        return result

    def _observations(self) -> dict[int, Mapping[str, Any]]:
        names, rows = self._asked.rows("observations")
        found = (dict(zip(names, row, strict=True)) for row in rows)
        return {row["observation_id"]: row | {"night": str(row["night"])} for row in found}

    def _chosen(self, observation: int | Sequence[int] | None, band: str | None) -> dict[int, Mapping[str, Any]]:
        there = self._observations()
        if observation is not None:
            wanted = [observation] if isinstance(observation, (int, np.integer)) else list(observation)
            if missing := [one for one in wanted if one not in there]:
                raise NotFoundError(f"there is no observation {missing[0]}: `observations()` lists them")
            there = {one: there[one] for one in wanted}
        return {number: row for number, row in there.items() if band is None or row["filter"] == band}

    def _together(
        self,
        points: Points,
        ids: list[list[int]],
        observations: Mapping[int, Mapping[str, Any]],
        aperture: int | str,
    ) -> Table:
        table = table_of_points(points, [name for name in LIGHT_CURVE if name in NUMBERS])
        source = points["source_id"]
        of_source: dict[int, list[int]] = {}
        for target, star in enumerate(ids):
            for one in star:
                of_source.setdefault(one, []).append(target)
        pairs = [(target, row) for row, one in enumerate(source.tolist()) for target in of_source[one]]
        asked, place = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        table = table[place]
        name = _time_column(table)
        numbers = np.asarray(table["observation_id"])
        bands = Column([observations[number]["filter"] for number in numbers.tolist()], dtype=str)
        ungrouped = np.isnan(points["reference_group"])[place]  # without a part in the calibration
        methods = [observations[number]["method"] or "" for number in numbers.tolist()]
        table.add_column(MaskedColumn(methods, mask=ungrouped, dtype=str), LIGHT_CURVE.index("method"), "method")
        table.add_column(table[name], name="time", index=0)
        table.add_column(Column(asked, description="place in the list"), name="target", index=0)
        table.add_column(bands, name="filter", index=3)
        order = np.lexsort((np.ma.filled(table["time"].jd, np.inf), asked))
        table = table[order]
        used = [observations[number] for number in sorted(set(numbers.tolist()))]
        table.meta = {
            "database": self.place,
            "time": f"{name}: mid-exposure, BJD(TDB)" if name != "jd_utc" else "jd_utc: mid-exposure, UTC",
            "aperture": str(aperture),
            "observations": [_provenance(row) for row in used],
        }
        ordered: Table = table
        return ordered


def _aperture(aperture: int | str) -> ApertureChoice:
    if aperture in ("best", "all"):
        return "best" if aperture == "best" else "all"
    if isinstance(aperture, (int, np.integer)) and not isinstance(aperture, bool):
        return int(aperture)
    raise NotFoundError(f"aperture {aperture!r} is none: expected 'best', 'all' or an index such as 0")


def _time_column(table: Table) -> str:
    """The star's own times, else those of the field's centre, else UTC: never some of each, they are seconds apart."""
    for name in ("bjd_tdb_source", "bjd_tdb"):
        if len(table) and not np.any(table[name].mask):
            return name
    return "jd_utc" if len(table) else "bjd_tdb_source"


def _provenance(row: Mapping[str, Any]) -> dict[str, Any]:
    choices = json.loads(row["choices"]) if row["choices"] else None
    return {name: row[name] for name in (*_SHOWN, "graph_pid", "calibration_pid")} | {"choices": choices}
