"""The star that is worth a look when nobody named one."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.lightcurves.selection import ObservationFacts
from services.lightcurves.statistics import Stars, read_stars, saturated

MIN_EPOCHS = 10
MIN_EPOCH_SHARE = 0.5  # of the epochs of the best covered star
MAX_ERROR = 0.05  # quoted, relative: fainter stars show nothing on a plot
NEIGHBOURS = 20  # stars of like brightness that tell what is usual
SATURATION_CHECKS = 25  # stars whose fluxes are read in one query


def most_variable(session: Session, observation: ObservationFacts) -> int | None:
    """Source whose scatter exceeds its quoted error most significantly; None where no star is measured well.

    Quoted errors are too small for all bright stars on a night of scintillation or of poor flats, so a star is
    compared with stars of like brightness too. Saturated stars are left out.
    """
    stars = read_stars(session, observation.analysis_pid)
    if not stars.source_id.size:
        return None
    enough = max(MIN_EPOCHS, MIN_EPOCH_SHARE * float(stars.epochs.max()))
    well_measured = np.flatnonzero((stars.epochs >= enough) & (stars.error <= MAX_ERROR))
    significance = excess_significance(stars)[well_measured]
    ranked = stars.source_id[well_measured[np.argsort(-significance, kind="stable")]].tolist()
    for start in range(0, len(ranked), SATURATION_CHECKS):
        part = ranked[start : start + SATURATION_CHECKS]
        unusable = saturated(session, observation.graph_pid, part)
        for source_id in part:
            if source_id not in unusable:
                return int(source_id)
    return None


def excess_significance(stars: Stars) -> NDArray[np.float64]:
    """How many standard deviations the logarithm of scatter over quoted error lies above what is usual: float64[n].

    Usual is 1, or the median ratio of the other stars of like brightness where that is higher. The logarithm of a
    standard deviation from n points scatters by 1 / sqrt(2 (n - 1)).
    """
    ratio = stars.scatter / stars.error
    usual = np.array([_usual(ratio, index) for index in range(ratio.size)])
    return np.asarray(np.log(ratio / usual) * np.sqrt(2.0 * np.maximum(stars.epochs - 1, 0)))


def _usual(ratio: NDArray[np.float64], index: int) -> float:
    """Stars are ordered by brightness, so those of like brightness stand beside each other."""
    first = max(0, min(index - NEIGHBOURS // 2, ratio.size - NEIGHBOURS - 1))
    beside = np.delete(ratio[first : first + NEIGHBOURS + 1], index - first)
    return max(1.0, float(np.median(beside))) if beside.size else 1.0
