"""Stars that an operator named, by pixels of the first frame, place on the sky or source id, among the sources."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.relative import Roles
from pipeline.sky.astrometry.sphere import separation_arcsec
from services.choices import Choices
from services.errors import DataError
from services.star_names import STAR_FORMS, StarName, place_on_sky
from services.steps.shared.graph_fluxes import GraphAxes
from services.steps.shared.step import Parameters


class NamedStars(Parameters):
    """Names as the settings take them, and how far from a named place its source may be."""

    targets: tuple[StarName, ...] = ()
    references: tuple[StarName, ...] = ()
    checks: tuple[StarName, ...] = ()
    match_px: float = 5.0
    match_arcsec: float = 5.0


def stars_of(choices: Choices) -> NamedStars:
    """The stars that the operator named."""
    return NamedStars(
        targets=choices.manual_targets,
        references=choices.manual_references,
        checks=choices.manual_checks,
        match_px=choices.manual_match_px,
        match_arcsec=choices.manual_match_arcsec,
    )


def named_roles(named: NamedStars, axes: GraphAxes) -> Roles:
    """The sources that are meant.

    Raises:
        DataError: no source is there, the field has no sky coordinates, or one star was named for two roles.
    """
    lists = (named.targets, named.references, named.checks)
    masks = [star_mask(names, axes, named.match_px, named.match_arcsec) for names in lists]
    twice = np.flatnonzero(np.sum(masks, axis=0) > 1)
    if twice.size:
        place = twice[0]
        raise DataError(
            f"source {axes.source_ids[place]} at x = {axes.on_first[place, 0]:.1f}, y = {axes.on_first[place, 1]:.1f} "
            "on the first frame is named in two of manual_targets, manual_references and manual_checks: a star can be "
            "one of them only"
        )
    return Roles(*masks)


def star_mask(names: Sequence[str], axes: GraphAxes, match_px: float, match_arcsec: float) -> NDArray[np.bool_]:
    """bool[n_sources]; which sources are named.

    Raises:
        DataError: a name fits no source; the message tells the nearest.
    """
    mask = np.zeros(axes.source_ids.size, dtype=np.bool_)
    for name in names:
        if STAR_FORMS["source"].fullmatch(name):
            found = np.flatnonzero(axes.source_ids == int(name))
            if not found.size:
                raise DataError(f"there is no source {name} in this observation: table source_position lists them")
            mask[found] = True
            continue
        if pixels := STAR_FORMS["pixels"].fullmatch(name):
            offset = axes.on_first - np.array([float(pixels[1]), float(pixels[2])])
            distance, limit, unit = np.hypot(offset[:, 0], offset[:, 1]), match_px, "px"
        else:
            distance, limit, unit = _separations(axes, name), match_arcsec, "arcsec"
        if not np.isfinite(distance).any():
            raise DataError(f"star {name}: the sources of this observation have no sky coordinates; name it by pixels")
        nearest = int(np.nanargmin(distance))
        if distance[nearest] > limit:
            raise DataError(
                f"no source within {limit:g} {unit} of star {name}: the nearest is source {axes.source_ids[nearest]} "
                f"at x = {axes.on_first[nearest, 0]:.1f}, y = {axes.on_first[nearest, 1]:.1f}, {distance[nearest]:.1f} "
                f"{unit} away; correct the position (pixels are those of the first frame, 0-based)"
            )
        mask[nearest] = True
    return mask


def _separations(axes: GraphAxes, name: str) -> NDArray[np.float64]:
    """Arcseconds from a named place to each source; NaN where coordinates are not known."""
    return separation_arcsec(axes.radec, np.array([place_on_sky(name)]))
