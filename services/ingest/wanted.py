"""Some of a folder's frames: those of the targets and filters that are asked for, with all that calibrates them."""

from collections.abc import Sequence
from dataclasses import replace

from services.errors import ConfigurationError
from services.ingest.raw_folder import Folder
from services.ingest.target_names import bare

MOST_NAMED = 20  # in a message


def only(folder: Folder, targets: Sequence[str], filters: Sequence[str]) -> tuple[Folder, int]:
    """The folder without light frames of other targets and filters, and how many these are.

    Targets are the same however they are spelt (`UY UMa`, `uyuma`); filters are not (`R` is not `r`).

    Raises:
        ConfigurationError: no light frame is left; the message names what there is.
    """
    names = {bare(name) for name in targets}
    lights = [frame for frame in folder.frames if frame.kind == "light"]
    kept = [
        frame
        for frame in lights
        if (not names or bare(frame.target) in names) and (not filters or (frame.filter or "") in filters)
    ]
    if lights and not kept:
        there = sorted({f"{frame.target or 'no name'} in {frame.filter or 'no filter'}" for frame in lights})
        more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
        raise ConfigurationError(
            f"no light frame is of {' or '.join((*targets, *filters))}: there are {', '.join(there[:MOST_NAMED])}{more}"
        )
    left_out = {frame.path for frame in lights} - {frame.path for frame in kept}
    frames = [frame for frame in folder.frames if frame.path not in left_out]
    return replace(folder, frames=frames), len(left_out)
