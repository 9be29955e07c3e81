"""What becomes of a process after an attempt that failed."""

from collections.abc import Sequence
from dataclasses import dataclass

from schema.attempts import Claim, Failure
from services.deployment import Deployment
from services.errors import TransientError


@dataclass(frozen=True)
class Verdict:
    """The failure to write down, and the seconds until the next attempt; None: there is none."""

    failure: Failure
    retry_in_s: float | None


def decide(
    claim: Claim, failure: Failure, *, killed: bool, earlier_deaths: Sequence[str], rules: Deployment, chance: float
) -> Verdict:
    """Try again, give up, or put the process aside that ended its worker time and again.

    ``killed``: this attempt ended its worker. ``earlier_deaths``: what the attempts before it said that did so too.
    ``chance``: between 0 and 1, shortens the pause by up to half, so that a herd does not come back at once.
    """
    if killed and len(earlier_deaths) + 1 >= rules.poison_attempts:
        failure = _poison(claim, [*earlier_deaths, f"attempt {claim.attempt}: {failure.message}"])
    if failure.error_class != TransientError.error_class or claim.attempt >= claim.max_attempts:
        return Verdict(failure, None)
    longest_s = min(rules.backoff_s * 2.0 ** (claim.attempt - 1), rules.backoff_max_s)
    return Verdict(failure, longest_s * (0.5 + 0.5 * chance))


def _poison(claim: Claim, deaths: Sequence[str]) -> Failure:
    message = (
        f"process {claim.pid} ({claim.command}) ended its worker {len(deaths)} times and is not tried again "
        f"({'; '.join(deaths)}); look at `tianyu logs {claim.pid}`, mend the cause, then `tianyu retry {claim.pid}`"
    )
    return Failure("poison", message)
