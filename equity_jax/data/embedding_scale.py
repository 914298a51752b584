"""Standardised by training rows, block by block: one matrix read, one written."""

import numpy as np

ROWS = 4096  # at a time


def fit(x: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of x[rows], float32[F]; 1 where x is constant.

    x: float[M, F], perhaps a memory map; rows: int[n].

    Example:
        >>> fit(np.array([[1.0], [3.0], [9.0]], np.float32), np.array([0, 1]))[0]
        array([2.], dtype=float32)
    """
    total = np.zeros(x.shape[1])
    for part in _blocks(rows):
        total += x[part].astype(np.float32).sum(0, dtype=np.float64)
    mean = (total / len(rows)).astype(np.float32)
    square = np.zeros(x.shape[1])
    for part in _blocks(rows):
        away = x[part].astype(np.float32) - mean
        square += np.square(away, out=away).sum(0, dtype=np.float64)
    scale = np.sqrt(square / len(rows)).astype(np.float32)
    return mean, np.where(scale > 0, scale, np.float32(1))


def apply(
    x: np.ndarray,
    rows: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    dtype: np.dtype,
) -> np.ndarray:
    """(x[rows] - mean) / scale, dtype[n, F], computed in float32.

    Example:
        >>> one = np.ones(1, np.float32)
        >>> apply(np.array([[3.0]]), np.array([0]), one, 2 * one, np.dtype("f4"))
        array([[1.]], dtype=float32)
    """
    out = np.empty((len(rows), x.shape[1]), dtype)
    top = 0
    for part in _blocks(rows):
        out[top : top + len(part)] = (x[part].astype(np.float32) - mean) / scale
        top += len(part)
    return out


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[top : top + ROWS] for top in range(0, len(rows), ROWS)]
