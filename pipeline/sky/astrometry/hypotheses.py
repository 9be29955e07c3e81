"""Similarities between an image and a plane of the sky, from equal quads, and how many stars bear each out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.nearest import tree_of
from pipeline.sky.astrometry.quads import Quads

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

CODE_TOLERANCE = 0.012  # of the backbone: 0.3 px of noise on backbones of 100 px give 0.004, 1 % of distortion the rest
MOST_HYPOTHESES = 4000  # the best agreeing ones are looked into


@dataclass(frozen=True)
class Hypotheses:
    """Similarities plane = turn·z + shift, with z = x + iy (mirrored) or its conjugate (not), best first.

    Attributes:
        turn: complex128[n], degrees a pixel.
        shift: complex128[n], degrees.
        mirrored: bool[n].
    """

    turn: Complex
    shift: Complex
    mirrored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.turn)

    def __getitem__(self, index: NDArray[np.intp]) -> "Hypotheses":
        return Hypotheses(self.turn[index], self.shift[index], self.mirrored[index])

    def to_plane(self, xy: Floats) -> Complex:
        """Places complex128[n, m] on the plane of pixels xy float64[m, 2]."""
        z = (xy[:, 0] + 1j * xy[:, 1])[None, :]
        return np.asarray(
            self.turn[:, None] * np.where(self.mirrored[:, None], z, np.conj(z)) + self.shift[:, None], np.complex128
        )


def equal_quads(image: Quads, xy: Floats, catalogue: Quads, plane: Floats, scales: tuple[float, float]) -> Hypotheses:
    """The similarities that take quads of the image to equal ones of the catalogue, in either parity.

    xy: float64[n, 2], px, and plane: float64[m, 2], degrees: what the quads' stars refer to; scales: smallest and
    largest, degrees a pixel.
    """
    tree = tree_of(catalogue.codes)
    parts = []
    for mirrored in (False, True):
        codes = image.codes if mirrored else image.mirrored()
        pairs = tree_of(codes).sparse_distance_matrix(  # type: ignore[no-untyped-call]
            tree, CODE_TOLERANCE, p=np.inf, output_type="ndarray"
        )
        i, j, distance = pairs["i"], pairs["j"], pairs["v"]
        scale = catalogue.length[j] / image.length[i]
        near = (scale >= scales[0]) & (scale <= scales[1])
        parts.append((i[near], j[near], distance[near], np.full(np.count_nonzero(near), mirrored)))
    i, j, distance, mirrored_ = (np.concatenate(one) for one in zip(*parts, strict=True))
    best = np.argsort(distance, kind="stable")[:MOST_HYPOTHESES]
    i, j, parity = i[best], j[best], mirrored_[best]
    z, w = (xy[:, 0] + 1j * xy[:, 1])[image.stars[i]], (plane[:, 0] + 1j * plane[:, 1])[catalogue.stars[j]]
    z = np.where(parity[:, None], z, np.conj(z))
    away = z - z.mean(axis=1, keepdims=True)
    turn = (np.conj(away) * w).sum(axis=1) / (np.abs(away) ** 2).sum(axis=1)
    return Hypotheses(turn, w.mean(axis=1) - turn * z.mean(axis=1), parity)


def borne_out(some: Hypotheses, xy: Floats, plane: Floats, radius_px: float) -> NDArray[np.int64]:
    """How many of the stars xy float64[n, 2] have a catalogue star of plane float64[m, 2] near them: int64[hypotheses].

    radius_px: how near, in pixels of the image.
    """
    places = some.to_plane(xy)
    points = np.column_stack([places.real.ravel(), places.imag.ravel()])
    scale = np.abs(some.turn)
    reach = radius_px * float(scale.max(initial=0.0))
    distance, _ = tree_of(plane).query(points, distance_upper_bound=reach)  # type: ignore[no-untyped-call]
    near = distance.reshape(places.shape) <= radius_px * scale[:, None]
    return np.asarray(np.count_nonzero(near, axis=1), np.int64)
