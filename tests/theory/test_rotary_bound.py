"""T10 with rotary positions: a spectral bound of the normalised input is not enough, a Frobenius bound is."""

import numpy as np
import pytest
import torch

from dynloop.nn import rotary_tables, rotate_half

TOKENS, HEAD = 192, 128


def turned(rows, *, back=False):
    """Rows ``(tokens, head)`` turned by their positions, as the attention of dynloop turns them."""
    cos, sin = rotary_tables(TOKENS, HEAD)
    tables = torch.stack([cos, -sin if back else sin])
    return rotate_half(torch.from_numpy(rows)[None, None], tables)[0, 0].numpy()


def attention(X, Q, K):
    scores = turned(X @ Q) @ turned(X @ K).T / np.sqrt(HEAD)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def normalised(X):
    return X / np.sqrt(np.mean(X**2, axis=1, keepdims=True))


def two_states(step=1e-4):
    """Two normalised inputs and the weights: queries that agree once they are turned, two keys that move apart."""
    half, pairs = HEAD // 2, 12
    one = np.zeros(half)
    one[:pairs] = 1 / np.sqrt(2 * pairs)
    query, side = np.concatenate([one, one]), np.concatenate([one, -one])
    X, change = np.zeros((TOKENS, 2 * HEAD + TOKENS)), np.zeros((TOKENS, 2 * HEAD + TOKENS))
    X[:, :HEAD] = turned(np.tile(query, (TOKENS, 1)), back=True)
    X[:2, HEAD : 2 * HEAD] = turned(np.tile(query + side, (TOKENS, 1)), back=True)[:2] / np.sqrt(2)
    away = turned(np.tile(query - side, (TOKENS, 1)), back=True)[:2] / np.sqrt(2)
    change[:2, HEAD : 2 * HEAD] = away * [[1], [-1]]
    X[:, 2 * HEAD :] = np.diag(np.sqrt(1.6**2 - np.sum(X**2, axis=1)))  # coordinates that the head does not read
    first = normalised(X)
    scale = first[0, 0] / X[0, 0]
    Q, K = np.zeros((X.shape[1], HEAD)), np.zeros((X.shape[1], HEAD))
    Q[:HEAD], K[HEAD : 2 * HEAD] = np.eye(HEAD) / scale, 200 * np.eye(HEAD) / scale
    return first, normalised(first + step * change), Q, K


def quotient(first, second, Q, K, bound):
    """How far attention moved, over what T10 allows with this bound of the input."""
    moved = np.linalg.norm(attention(first, Q, K) - attention(second, Q, K))
    kappa = np.linalg.norm(Q, 2) * np.linalg.norm(K, 2)
    return moved / (bound * kappa / np.sqrt(HEAD) * np.linalg.norm(first - second))


def test_a_spectral_bound_is_exceeded_and_the_bounds_of_the_note_hold():
    states = two_states()
    spectral = max(np.linalg.norm(X, 2) for X in states[:2])
    assert quotient(*states, spectral) == pytest.approx(1.35, abs=0.01)
    assert quotient(*states, np.sqrt(HEAD) * spectral) < 1
    assert quotient(*states, np.linalg.norm(states[0])) < 1


@pytest.mark.parametrize("seed", range(5))
def test_random_inputs_keep_the_frobenius_bound(seed):
    rng = np.random.default_rng(seed)
    first, second = (normalised(rng.normal(size=(TOKENS, 48))) for _ in range(2))
    Q, K = rng.normal(size=(2, 48, HEAD))
    assert 0 < quotient(first, second, Q, K, np.linalg.norm(first)) < 1
