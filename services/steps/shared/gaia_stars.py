"""What Gaia says of the sources of a graph: table source_crossmatch as arrays."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.skies import SourceCrossmatch

RANKS = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GaiaStars:
    """Sources and the three nearest Gaia sources of each; of one that is not matched all magnitudes are NaN."""

    g_mag: Floats  # [n]
    colour: Floats  # [n], BP - RP
    variable: NDArray[np.bool_]  # [n]
    distance: Floats  # [n, 3], arcsec, nearest first
    near_mag: Floats  # [n, 3], G of them

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Sources that are a star of Gaia's, bool[n]."""
        return np.isfinite(self.g_mag)

    @property
    def distance_ratio(self) -> Floats:
        """Second-nearest over nearest: float64[n], NaN without a second, inf where the nearest is exactly there."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.distance[:, 1] / self.distance[:, 0]

    @classmethod
    def unknown(cls, n: int) -> Self:
        """Sources of which Gaia says nothing."""
        nothing, none_of_three = np.full(n, np.nan), np.full((n, RANKS), np.nan)
        return cls(nothing, nothing.copy(), np.zeros(n, dtype=bool), none_of_three, none_of_three.copy())

    def neighbour_light(self, radius_arcsec: float) -> Floats:
        """Light of the second and third within a radius over that of the star itself: float64[n]."""
        near = self.distance[:, 1:] <= radius_arcsec
        ratio = 10.0 ** (-0.4 * (self.near_mag[:, 1:] - self.g_mag[:, None]))
        return np.asarray(np.where(near & np.isfinite(ratio), ratio, 0.0).sum(axis=1))


def gaia_stars(session: Session, source_ids: NDArray[np.int64]) -> GaiaStars:
    """Read the rows of these sources; source_ids: int64[n]."""
    found = GaiaStars.unknown(source_ids.size)
    if source_ids.size:
        position = {source_id: index for index, source_id in enumerate(source_ids.tolist())}
        columns = SourceCrossmatch
        rows = session.execute(
            select(
                columns.source_id,
                columns.match_rank,
                columns.distance_arcsec,
                columns.g_mag,
                columns.bp_mag,
                columns.rp_mag,
                columns.variable,
                columns.is_match,
            ).where(
                columns.source_id.between(int(source_ids.min()), int(source_ids.max())), columns.match_rank <= RANKS
            )
        )
        for source_id, rank, arcsec, g, bp, rp, varies, is_match in rows:
            index = position.get(source_id)
            if index is None:
                continue
            found.distance[index, rank - 1] = arcsec
            found.near_mag[index, rank - 1] = np.nan if g is None else g
            if rank == 1 and is_match and g is not None:
                found.g_mag[index], found.variable[index] = g, bool(varies)
                found.colour[index] = np.nan if bp is None or rp is None else bp - rp
    return found
