"""Of nothing nothing can be made: a step that needs some of many begins only where one of them succeeded."""

from collections.abc import Sequence

from sqlalchemy.orm import Session, sessionmaker

from schema.processes import FAILED, SKIPPED, SUCCEEDED
from schema.queries import dependencies
from schema.queries.dependencies import Ended
from services.alike import gather, gist
from services.errors import DataError
from services.steps.shared.needs import Need

UNKNOWN = "no reason was kept"


def require_some(reading: sessionmaker[Session], pid: int, command: str, some: Sequence[Need]) -> None:
    """Look at what a process depends on: of each of these needs one process must have succeeded.

    Raises:
        DataError: none did; how many there are, and what most of them failed of.
    """
    if not some:
        return
    with reading() as session:
        for need in some:
            counts = dependencies.states(session, pid, need.commands)
            if not counts or counts.get(SUCCEEDED):
                continue
            ended = dependencies.unsuccessful(session, pid, need.commands)
            failed = [one for one in ended if one.status == FAILED]
            causes = dependencies.causes(session, [one.pid for one in ended if one.status == SKIPPED])
            of_frames = {one.observation_id for one in causes} <= {one.observation_id for one in ended}
            if need.or_no_good and of_frames and _are_no_good([*failed, *causes]):
                continue
            told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
            reasons = [one.error or UNKNOWN for one in failed]
            reasons += [f"{one.command} {one.pid} {one.status}: {one.error or UNKNOWN}" for one in causes]
            raise DataError(
                f"process {pid} ({command}): none of its {sum(counts.values())} {' or '.join(need.commands)} processes "
                f"succeeded ({told}); {most_frequent(reasons)}; mend that, and `tianyu retry --failed` tries them again"
            )


def _are_no_good(ended: Sequence[Ended]) -> bool:
    """Whether the data are at fault: however often it is tried, nothing comes of them."""
    return bool(ended) and all(one.error_class == DataError.error_class for one in ended)


def most_frequent(reasons: Sequence[str]) -> str:
    """The reason that most gave, in the words of one of them."""
    if not reasons:
        return UNKNOWN
    [first, *_] = groups = gather(reasons, gist)
    return first[0] if len(groups) == 1 else f"most often ({len(first)}): {first[0]}"
