"""What becomes of a process after an attempt that failed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from schema.attempts import Claim, Failure
from services.deployment import Deployment
from services.errors import SurroundingsError, TransientError

MOST_ATTEMPTS = 30_000  # what the database can count; two months of waiting
MOST_DOUBLINGS = 100  # of a pause: numbers end


@dataclass(frozen=True)
class Verdict:
    """The failure to write down, and the seconds until the next attempt; None: there is none.

    ``spared``: the attempt that failed does not count.
    """

    failure: Failure
    retry_in_s: float | None
    spared: bool = False


def decide(
    claim: Claim,
    failure: Failure,
    *,
    killed: bool = False,
    earlier_deaths: Sequence[str] = (),
    waited: int = 0,
    rules: Deployment,
    chance: float,
) -> Verdict:
    """Try again, wait for the surroundings, give up, or put the process aside that ended its worker time and again.

    ``killed``: this attempt ended its worker. ``earlier_deaths``: what the attempts before it said that did so too.
    ``waited``: the surroundings were at fault in so many attempts just before this one.
    Beside a slow attempt that is still at work a passing failure counts for nothing: the process can end without it.
    ``chance``: between 0 and 1, shortens the pause by up to half, so that a herd does not come back at once.
    """
    shortened = 0.5 + 0.5 * chance
    usual_s = _pause(rules.backoff_s, claim.attempt - 1, rules.backoff_max_s) * shortened
    if claim.beside and failure.error_class == TransientError.error_class and claim.attempt < MOST_ATTEMPTS:
        return Verdict(failure, usual_s, spared=True)
    if killed and len(earlier_deaths) + 1 >= rules.poison_attempts:
        failure = _poison(claim, [*earlier_deaths, f"attempt {claim.attempt}: {failure.message}"])
    if failure.error_class == SurroundingsError.error_class and claim.attempt < MOST_ATTEMPTS:
        if waited:  # all those tracebacks would be the same
            failure = replace(failure, traceback=None)
        pause_s = _pause(rules.backoff_s, waited, rules.surroundings_backoff_max_s)
        return Verdict(failure, pause_s * shortened, spared=True)
    if failure.error_class != TransientError.error_class or claim.attempt >= claim.max_attempts:
        return Verdict(failure, None)
    return Verdict(failure, usual_s)


def _pause(first_s: float, doublings: int, longest_s: float) -> float:
    return min(first_s * 2.0 ** min(doublings, MOST_DOUBLINGS), longest_s)


def _poison(claim: Claim, deaths: Sequence[str]) -> Failure:
    message = (
        f"process {claim.pid} ({claim.command}) ended its worker {len(deaths)} times and is not tried again "
        f"({'; '.join(deaths)}); look at `tianyu logs {claim.pid}`, mend the cause, then `tianyu retry {claim.pid}`"
    )
    return Failure("poison", message)
