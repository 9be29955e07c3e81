"""Whether a folder's nights gave what was to be had of them."""

from collections.abc import Sequence

from schema.processes import SUCCEEDED
from services.choices import Choices
from services.operating.status import ObservationStatus
from services.steps import ORDER, STEPS, last_of

# Of the frames of the night's longest observation; shorter ones are test frames, focus runs and strays, and so is what
# has less than these frames.
SIDE_SHARE, FEWEST_FRAMES = 0.1, 3


def side_observations(states: Sequence[ObservationStatus]) -> set[int]:
    """Ids of those that are short beside another one of their night and site."""
    most: dict[object, int] = {}
    for one in states:
        night = one.site, one.night
        most[night] = max(most.get(night, 0), one.frames)

    def is_short(frames: int, longest: int) -> bool:
        return frames < min(max(SIDE_SHARE * longest, FEWEST_FRAMES), longest)

    return {one.observation_id for one in states if is_short(one.frames, most[one.site, one.night])}


def is_success(states: Sequence[ObservationStatus], choices: Choices, *, strict: bool) -> bool:
    """Whether what was asked for was made of all observations that matter: all but side ones; with ``strict`` of all.

    That is the light curves, or the step up to which they were to go.
    """
    side = set() if strict else side_observations(states)
    asked = ORDER.index(last_of(choices))
    made = {
        one.observation_id
        for one in states
        if one.end == SUCCEEDED and (one.stopped_after is None or ORDER.index(STEPS[one.stopped_after]) >= asked)
    }
    return bool(made) and all(one.observation_id in made | side for one in states)
