"""Evidence of a model from samples of its posterior, by importance sampling."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 6_000
BLOCK = 500  # draws that are judged at once
PRIOR_SHARE = 0.3  # of the draws from the prior itself: bounds the weights where the samples have left a mode out
DEGREES = 5.0  # of freedom of Student's t: tails heavier than the posterior's
WIDENING = 1.3


def log_evidence(
    log_likelihood: Callable[[Floats], Floats], samples: Floats, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Mean likelihood under a unit Gaussian prior, ``Z = E_g[L π / g]``.

    The proposal g is a mixture of the prior and of Student's t with the samples' mean and covariance (Hesterberg
    1995, Technometrics 37, 185: a defensive mixture). Unlike the harmonic mean of the samples' likelihoods its
    variance is bounded, and its error can be given.

    Args:
        log_likelihood: of float64[w, d].
        samples: float64[s, d] of the posterior.

    Returns:
        ln Z, its standard error, and the number of draws that count (Kish).
    """
    from scipy.special import logsumexp
    from scipy.stats import multivariate_t

    dimensions = samples.shape[1]
    proposal = multivariate_t(samples.mean(axis=0), WIDENING * np.cov(samples.T), df=DEGREES, allow_singular=True)
    of_prior = rng.random(DRAWS) < PRIOR_SHARE
    draws = np.asarray(proposal.rvs(size=DRAWS, random_state=rng))
    draws[of_prior] = rng.normal(size=(int(of_prior.sum()), dimensions))
    log_prior = -0.5 * (np.sum(draws**2, axis=1) + dimensions * np.log(2.0 * np.pi))
    log_density = np.logaddexp(
        np.log(PRIOR_SHARE) + log_prior, np.log1p(-PRIOR_SHARE) + np.asarray(proposal.logpdf(draws))
    )
    likelihood = np.concatenate([log_likelihood(draws[i : i + BLOCK]) for i in range(0, DRAWS, BLOCK)])
    log_weight = likelihood + log_prior - log_density
    total = float(logsumexp(log_weight))
    effective = float(np.exp(2.0 * total - logsumexp(2.0 * log_weight)))
    error = np.sqrt(max(1.0 / effective - 1.0 / DRAWS, 0.0))
    return total - float(np.log(DRAWS)), float(error), effective
