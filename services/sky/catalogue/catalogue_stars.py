"""Stars of a catalogue, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.sky.astrometry.sphere import unit_vectors
from pipeline.sky.proper_motion import moved

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CatalogueStars:
    """Stars with Gaia's numbers, ``[n]`` each; NaN where the catalogue tells nothing."""

    source_id: NDArray[np.int64]
    ra_deg: Floats  # ICRS, at ref_epoch
    dec_deg: Floats
    pm_ra_mas: Floats  # a year, times cos(declination)
    pm_dec_mas: Floats
    parallax_mas: Floats
    g_mag: Floats
    bp_mag: Floats
    rp_mag: Floats
    variable: NDArray[np.bool_]  # flagged VARIABLE by Gaia
    ref_epoch: Floats  # Julian year

    def __len__(self) -> int:
        return self.source_id.size

    @cached_property
    def radec(self) -> Floats:
        """float64[n, 2]: places at the reference epoch, degrees."""
        return np.column_stack([self.ra_deg, self.dec_deg])

    def at_epoch(self, jd: float) -> Floats:
        """float64[n, 2]: right ascension and declination at a time (JD) with proper motion, degrees."""
        return moved(self.radec, self.pm_ra_mas, self.pm_dec_mas, self.ref_epoch, jd)

    def take(self, which: NDArray[Any]) -> "CatalogueStars":
        """Some of the stars, by a mask or by indices."""
        return CatalogueStars(**{name: values[which] for name, values in self.columns().items()})

    def within(self, ra_deg: float, dec_deg: float, radius_deg: float, mag_limit: float) -> "CatalogueStars":
        """Those of a cone that are brighter than a limit in G; a star without G is not."""
        bright = self.take(self.g_mag < mag_limit)
        axis = unit_vectors(np.array([[ra_deg, dec_deg]]))
        chord = np.linalg.norm(unit_vectors(bright.radec) - axis, axis=1)
        return bright.take(chord <= 2.0 * np.sin(np.radians(min(radius_deg, 180.0)) / 2.0))

    def columns(self) -> dict[str, NDArray[Any]]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def joined(cls, parts: Sequence["CatalogueStars"]) -> "CatalogueStars":
        """All stars of several lots, each once."""
        if not parts:
            return cls.none()
        columns = [part.columns() for part in parts]
        stars = cls(**{name: np.concatenate([some[name] for some in columns]) for name in columns[0]})
        _, first = np.unique(stars.source_id, return_index=True)
        return stars if first.size == len(stars) else stars.take(np.sort(first))

    @classmethod
    def none(cls) -> "CatalogueStars":
        """No star at all."""
        types = {"source_id": np.int64, "variable": np.bool_}
        return cls(**{field.name: np.empty(0, types.get(field.name, np.float64)) for field in fields(cls)})
