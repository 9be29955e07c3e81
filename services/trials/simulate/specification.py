"""Which night to simulate: a preset, with some of its numbers changed."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from pipeline.errors import UnusableDataError
from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.trials.simulation.presets import PRESETS
from services.errors import ConfigurationError

FRAMES_PER_ACCIDENT = 10  # a night made shorter than its preset has at most one smeared frame in so many
VARIABLES = ("n_transits", "n_pulsators", "n_binaries", "n_flares")


def night_spec(preset: str = "demo", **changes: Any) -> NightSpec:
    """A preset with some of its numbers changed; None leaves a number as it is.

    A night of another size keeps the preset's density of stars, a shorter one has fewer smeared frames and trails,
    and one with fewer stars than the preset has variables has none of them; unless their numbers are given too.

    Raises:
        ConfigurationError: no such preset or number, or numbers that make no night.
    """
    if preset not in PRESETS:
        raise ConfigurationError(f"there is no preset {preset!r}: choose one of {', '.join(PRESETS)}")
    base = PRESETS[preset]
    given = {name: value for name, value in changes.items() if value is not None}
    unknown = sorted(given.keys() - {field.name for field in fields(NightSpec)})
    if unknown:
        raise ConfigurationError(f"a night has no {', '.join(unknown)}: see NightSpec for all it has")
    try:
        if "shape" in given:
            stars = round(base.n_stars * np.prod(given["shape"]) / np.prod(base.shape))
            given.setdefault("n_stars", max(stars, base.n_variables))
        if given.get("n_stars", base.n_stars) < base.n_variables:
            given = dict.fromkeys(VARIABLES, 0) | given
        if "n_frames" in given:
            for accident in ("n_smeared", "n_trails"):
                given.setdefault(accident, min(getattr(base, accident), given["n_frames"] // FRAMES_PER_ACCIDENT))
        return replace(base, **given)
    except UnusableDataError as error:
        raise ConfigurationError(f"the simulated night is impossible: {error}") from error
