"""Polynomials in the features of a sample: their monomials, their least squares from moments, their derivatives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of
from skkeops.formula import operations as ops
from skkeops.formula.expression import Expression

from .blas_threads import few_threads

__all__ = ["LocalFit", "concatenated", "fit_moments", "monomial_values", "monomials", "n_monomials", "share_of", "slopes"]

_BLOCK = 2**20  # entries of the matrices that are solved at once: some arrays of 8 MB


def n_monomials(n_features: int, degree: int) -> int:
    """Return how many monomials there are up to a degree, the constant among them."""
    return math.comb(n_features + degree, degree)


def _features(n_features: int, degree: int) -> list[list[tuple[int, ...]]]:
    """Return the features that each monomial multiplies, degree by degree."""
    return [list(combinations_with_replacement(range(n_features), d)) for d in range(degree + 1)]


def monomials(u: Expression, degree: int) -> list[Expression]:
    """Return the monomials of the components of u of degree 1, of degree 2 and so on, in the order of `monomial_values`.

    Examples
    --------
    >>> from skkeops.formula import Variable
    >>> [block.dim for block in monomials(Variable(0, 3, 1), 2)]
    [3, 6]
    """
    blocks = [u][:degree]
    for d in range(2, degree + 1):
        # Component k times the monomials of the degree below in the components from k on, which are the last of them.
        last = blocks[-1]
        tails = [math.comb(u.dim - k + d - 2, d - 1) for k in range(u.dim)]
        terms = (ops.Elem.build(u, k) * ops.Extract.build(last, last.dim - n, n) for k, n in enumerate(tails))
        blocks.append(concatenated(terms))
    return blocks


def concatenated(parts: Iterable[Expression]) -> Expression:
    """Return expressions behind one another, as one vector."""
    first, *others = parts
    for part in others:
        first = ops.Concat.build(first, part)
    return first


def monomial_values(u: np.ndarray, degree: int) -> np.ndarray:
    """Return the monomials of the rows of u up to a degree, the constant among them, of shape (n, n_monomials).

    Examples
    --------
    >>> import numpy as np
    >>> monomial_values(np.array([[2.0, 3.0]]), 2)
    array([[1., 2., 3., 4., 6., 9.]])
    """
    return np.stack([_product(u, term) for block in _features(u.shape[1], degree) for term in block], axis=1)


def _product(u: np.ndarray, term: Sequence[int]) -> np.ndarray:
    found = namespace_of(u).ones(len(u))
    for k in term:
        found = found * u[:, k]
    return found


def slopes(u: np.ndarray, degree: int) -> np.ndarray:
    """Return the derivatives of `monomial_values` by the components of u, of shape (n, n_monomials, n_features)."""
    terms = [term for block in _features(u.shape[1], degree) for term in block]
    found = namespace_of(u).zeros((len(u), len(terms), u.shape[1]))
    for k, term in enumerate(terms):
        for a in set(term):
            rest = list(term)
            rest.remove(a)
            found[:, k, a] = term.count(a) * _product(u, rest)
    return found


@dataclass(frozen=True)
class LocalFit:
    """A polynomial for each of n queries, and what each sample adds to its value there.

    The value is the sum over the samples, with normalised weights p_j, of ``p_j (influence . phi_j) y_j``, with phi_j the monomials
    of sample j about the centre.

    Attributes
    ----------
    center : ndarray of shape (n, n_features)
        What the polynomials are about.
    coefficients : ndarray of shape (n, n_monomials, n_targets)
    influence : ndarray of shape (n, n_monomials)
    values : ndarray of shape (n, n_targets)
        The polynomials at the queries. NaN where the moments are.
    """

    center: np.ndarray
    coefficients: np.ndarray
    influence: np.ndarray
    values: np.ndarray


def fit_moments(
    moments: np.ndarray, products: np.ndarray, at: np.ndarray, center: np.ndarray, degree: int, least: float
) -> tuple[LocalFit, np.ndarray]:
    r"""Return the polynomials of least squares, from weighted means over the samples, and how well these determine them.

    Terms are made orthogonal degree by degree (Gram-Schmidt, on the moments). Of what is left of the terms of a degree, in units of
    what they were, directions with less than a share `least` are left out. So a constant is always fitted; terms that the samples
    do not determine are 0, those of the highest degree first, and of several possible terms of one degree the shortest is taken.

    Parameters
    ----------
    moments : ndarray of shape (n, n_monomials of twice the degree)
        The means of the monomials, :math:`\sum_j p_j \phi_k(u_j)`, the first of which is 1.
    products : ndarray of shape (n, n_monomials, n_targets)
        Those of the monomials times the targets.
    at : ndarray of shape (n, n_features)
        Where the polynomial is evaluated.
    center : ndarray of shape (n, n_features)
        Kept with the result.
    degree : int
    least : float

    Returns
    -------
    fit : LocalFit
    share : ndarray of shape (n,)
        The product of the smallest shares of each degree: the errors of the moments are divided by it.
    """
    n, n_terms, n_targets = products.shape
    xp = namespace_of(products)
    coefficients, influence, values, share = map(xp.empty, ((n, n_terms, n_targets), (n, n_terms), (n, n_targets), n))
    rows_at_once = max(1, _BLOCK // n_terms**2)
    for start in range(0, n, rows_at_once):
        rows = slice(start, start + rows_at_once)
        with few_threads(n_terms):
            basis, share[rows] = _orthogonal(moments[rows], at.shape[1], degree, least)
        terms = monomial_values(at[rows], degree)[:, :, None]
        turned = basis.transpose(0, 2, 1)
        influence[rows] = (basis @ (turned @ terms))[:, :, 0]
        coefficients[rows] = basis @ (turned @ products[rows])
        values[rows] = (terms.transpose(0, 2, 1) @ coefficients[rows])[:, 0]
    undefined = ~np.isfinite(moments).all(axis=1)
    values[undefined], share[undefined] = np.nan, 1.0
    return LocalFit(center, coefficients, influence, values), share


def _orthogonal(moments: np.ndarray, n_features: int, degree: int, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return polynomials that are orthogonal under the weights, as columns of coefficients, and the product of the smallest shares.

    Columns of zeros stand for what was left out. Moments that are not numbers give polynomials of no meaning.
    """
    gram = _gram(moments, n_features, degree)
    n, n_terms = gram.shape[:2]
    xp = namespace_of(gram)
    basis, share = xp.zeros((n, n_terms, n_terms)), xp.ones(n)
    ends = np.cumsum([0, *(len(block) for block in _features(n_features, degree))]).tolist()
    for first, last in pairwise(ends):
        known, block = basis[:, :, :first], slice(first, last)
        shared = known.transpose(0, 2, 1) @ gram[:, :, block]
        rest = -known @ shared  # what is left of the terms when their parts in the known polynomials are taken away
        rest[:, block] += xp.eye(last - first)
        left = gram[:, block, block] - shared.transpose(0, 2, 1) @ shared
        size = np.sqrt(np.maximum(np.einsum("nkk->nk", gram[:, block, block]), 0))
        unit = np.where(size > 0, 1 / np.where(size > 0, size, 1), 0)
        found, vectors = np.linalg.eigh(left * unit[:, :, None] * unit[:, None, :])
        share = share * np.clip(found[:, 0], 0, 1)
        kept = found > least
        scale = np.where(kept, 1 / np.sqrt(np.where(kept, found, 1)), 0)
        basis[:, :, block] = rest @ (unit[:, :, None] * vectors * scale[:, None, :])
    return basis, share


def _gram(moments: np.ndarray, n_features: int, degree: int) -> np.ndarray:
    """Return the means of all products of two monomials, of shape (n, n_monomials, n_monomials), from those of single ones."""
    place = {term: k for k, term in enumerate(term for block in _features(n_features, 2 * degree) for term in block)}
    terms = [term for block in _features(n_features, degree) for term in block]
    index = np.array([[place[tuple(sorted(a + b))] for b in terms] for a in terms], dtype=np.int32)
    found = moments[:, namespace_of(moments).asarray(index)]
    return np.where(np.isfinite(found).all(axis=(1, 2), keepdims=True), found, namespace_of(found).eye(len(terms)))


def share_of(dtype: Any) -> float:
    """Return the share of a direction below which its errors are larger than itself, for moments of a dtype."""
    return math.sqrt(float(np.finfo(dtype).eps))
