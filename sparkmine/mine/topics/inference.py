"""The topics of a text, given those of a corpus: variational inference over blocks of texts.

q(θ) = Dirichlet(γ) is found by the fixed point γ = α + Σ_w n_w φ_w (Blei, Ng and Jordan 2003;
Hoffman, Blei and Bach 2010, whose start γ = 1 is taken without noise). Each row stops by itself, so
its result does not depend on the block it is in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray

TOLERANCE = 1e-6
MOST = 500
# Texts that are worked on at once.
ROWS = 4096
_TINY = 1e-100


def expectations(topic_words: Array) -> Array:
    """exp(E[ln β]) [k, V] of topics with Dirichlet parameters [k, V]."""
    from scipy.special import digamma

    totals = topic_words.sum(axis=1, keepdims=True)
    return np.exp(digamma(topic_words) - digamma(totals))


def infer(counts: Any, expected: Array, alpha: Array) -> Array:
    """γ [n, k] of texts.

    Args:
        counts: SciPy's sparse CSR [n, V]: how often each term is in each text.
        expected: See `expectations`.
        alpha: The Dirichlet parameters of the topics of a text [k].
    """
    from scipy.sparse import csr_array
    from scipy.special import digamma

    found = np.empty((counts.shape[0], len(alpha)))
    words = np.ascontiguousarray(expected.T)
    for begin in range(0, len(found), ROWS):
        active, gamma = counts[begin : begin + ROWS], found[begin : begin + ROWS]
        gamma[:] = 1.0
        places = np.arange(len(gamma))
        for _ in range(MOST):
            now = gamma[places]
            weights = np.exp(digamma(now) - digamma(now.sum(axis=1, keepdims=True)))
            rows = np.repeat(np.arange(len(places)), np.diff(active.indptr))
            norms = np.einsum("ij,ij->i", weights[rows], words[active.indices]) + _TINY
            ratios = csr_array(
                (active.data / norms, active.indices, active.indptr), shape=active.shape
            )
            gamma[places] = alpha + weights * (ratios @ words)
            moving = np.abs(gamma[places] - now).mean(axis=1) > TOLERANCE
            if not moving.any():
                break
            places, active = places[moving], active[moving]
    return found


def completion(first: Any, second: Any, topic_words: Array, alpha: Array) -> tuple[float, int]:
    """Log-likelihood of one half of texts given the other, and how many terms it has.

    Document completion (Wallach et al., "Evaluation methods for topic models", 2009): topics of a
    text are inferred from `first`, the terms of `second` are scored; both CSR [n, V].
    """
    both = (first.sum(axis=1) > 0) & (second.sum(axis=1) > 0)
    first, second = first[both], second[both]
    if not first.shape[0]:
        return 0.0, 0
    gamma = infer(first, expectations(topic_words), alpha)
    theta = gamma / gamma.sum(axis=1, keepdims=True)
    beta = topic_words / topic_words.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(second.shape[0]), np.diff(second.indptr))
    likely = np.einsum("ij,ij->i", theta[rows], beta.T[second.indices])
    return float(second.data @ np.log(likely)), int(second.data.sum())


def coherence(pairs: Array, texts: int) -> float:
    """Mean normalised pointwise mutual information of the pairs of a topic's first words.

    NPMI = ln(p_ij / (p_i p_j)) / -ln(p_ij), from -1 (never together) to 1 (always), over texts
    (Bouma 2009; as a measure of topics: Lau, Newman and Baldwin 2014).

    Args:
        pairs: In how many of the `texts` two words occur together [m, m]; with itself, each word.
    """
    one, other = np.triu_indices(len(pairs), 1)
    if not len(one):
        return 0.0
    together, alone = pairs[one, other] / texts, np.diag(pairs) / texts
    found = np.full(len(one), -1.0)
    found[together == 1] = 1.0
    some = (together > 0) & (together < 1)
    lift = together[some] / (alone[one[some]] * alone[other[some]])
    found[some] = np.log(lift) / -np.log(together[some])
    return float(found.mean())
