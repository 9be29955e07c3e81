"""From the celestial sphere to pixels and back: the telescope's projection, its orientation and its distortion.

Nothing here is shared with the pipeline's own astrometry, so that neither can hide the other's mistakes.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.trials.simulation.conditions import FrameTable, to_frame, to_reference
from pipeline.trials.simulation.night_spec import NightSpec
from pipeline.units import ARCSEC

NEWTON_STEPS = 20  # of the cubic's inverse; from 5 % of distortion on the third changes nothing

Floats = NDArray[np.float64]
Places = tuple[Floats, Floats]


def to_sky(x: Floats, y: Floats, spec: NightSpec) -> Places:
    """ICRS (ra 0 to 360, dec), degrees, of positions on the first frame: a tangential projection (Calabretta & Greisen
    2002, A&A 395, 1077, section 5.1.3) about the middle of the frame.
    """
    u, v = (straight - middle for straight, middle in zip(straighten(x, y, spec), _middle(spec), strict=True))
    xi, eta = np.radians(np.tensordot(_matrix(spec), np.stack([u, v]), axes=1))
    ra0, dec0 = np.radians(spec.ra_deg), np.radians(spec.dec_deg)
    towards = np.cos(dec0) - eta * np.sin(dec0)
    ra = ra0 + np.arctan2(xi, towards)
    dec = np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, towards))
    return np.degrees(ra) % 360, np.degrees(dec)


def to_pixels(ra: Floats, dec: Floats, spec: NightSpec) -> Places:
    """Positions on the first frame; the inverse of ``to_sky`` for the half of the sky in front of the telescope."""
    ra0, dec0, dec_rad = np.radians(spec.ra_deg), np.radians(spec.dec_deg), np.radians(dec)
    away = np.radians(ra) - ra0
    depth = np.sin(dec0) * np.sin(dec_rad) + np.cos(dec0) * np.cos(dec_rad) * np.cos(away)
    xi = np.cos(dec_rad) * np.sin(away) / depth
    eta = (np.cos(dec0) * np.sin(dec_rad) - np.sin(dec0) * np.cos(dec_rad) * np.cos(away)) / depth
    u, v = np.tensordot(np.linalg.inv(_matrix(spec)), np.degrees(np.stack([xi, eta])), axes=1)
    cx, cy = _middle(spec)
    return distort(cx + u, cy + v, spec)


def straighten(x: Floats, y: Floats, spec: NightSpec) -> Places:
    """Where positions on a frame would lie without distortion: ``distortion (r/R)²`` farther out, R the corner's r."""
    if spec.distortion == 0:
        return x, y
    cx, cy = _middle(spec)
    growth = 1 + spec.distortion * ((x - cx) ** 2 + (y - cy) ** 2) / (cx**2 + cy**2)
    return cx + (x - cx) * growth, cy + (y - cy) * growth


def distort(x: Floats, y: Floats, spec: NightSpec) -> Places:
    """The inverse of ``straighten``; what lies beyond the reach of a negative distortion stays at its edge."""
    if spec.distortion == 0:
        return x, y
    cx, cy = _middle(spec)
    k = spec.distortion / (cx**2 + cy**2)
    straight = np.hypot(x - cx, y - cy)
    edge = np.inf if k > 0 else 1 / np.sqrt(-3 * k)
    reached = np.minimum(straight, edge * 2 / 3)
    r = np.minimum(reached, 0.9 * edge)
    for _ in range(NEWTON_STEPS):
        r = np.minimum(r - (r + k * r**3 - reached) / (1 + 3 * k * r**2), 0.999 * edge)
    shrink = np.divide(r, straight, out=np.ones_like(r), where=straight > 0)
    return cx + (x - cx) * shrink, cy + (y - cy) * shrink


def on_frame(x: Floats, y: Floats, frames: FrameTable, i: int, spec: NightSpec) -> Places:
    """Positions on frame ``i`` of positions on the first frame: turned and moved on the undistorted plane."""
    u, v = straighten(x, y, spec)
    return distort(*to_frame(u, v, frames, i, spec.shape), spec)


def on_first(x: Floats, y: Floats, frames: FrameTable, i: int, spec: NightSpec) -> Places:
    """The inverse of ``on_frame``."""
    u, v = straighten(x, y, spec)
    return distort(*to_reference(u, v, frames, i, spec.shape), spec)


def seen_corners(frames: FrameTable, spec: NightSpec) -> Floats:
    """Corners of all frames on the first frame's plane: float64[frame, (x, y), corner]."""
    ny, nx = spec.shape
    corners = np.array([[-0.5, nx - 0.5, -0.5, nx - 0.5], [-0.5, -0.5, ny - 0.5, ny - 0.5]])
    return np.array([on_first(corners[0], corners[1], frames, i, spec) for i in range(frames.index.size)])


def header_pointing(spec: NightSpec) -> tuple[float, float, float]:
    """What headers say, right or wrong: (ra, dec) in degrees and the pixel scale in arcsec."""
    scale = spec.pixel_scale * (1 + spec.scale_error)
    east, north = spec.pointing_error_deg
    if east == north == 0:
        return spec.ra_deg, spec.dec_deg, scale
    cx, cy = _middle(spec)
    u, v = np.linalg.solve(_matrix(spec), [east, north])
    ra, dec = to_sky(*distort(np.array([cx + u]), np.array([cy + v]), spec), spec)
    return float(ra[0]), float(dec[0]), scale


def _middle(spec: NightSpec) -> tuple[float, float]:
    ny, nx = spec.shape
    return (nx - 1) / 2, (ny - 1) / 2


def _matrix(spec: NightSpec) -> Floats:
    """(x, y) in pixels to (xi, eta) in degrees; at angle 0, unmirrored, +y is north and +x west."""
    sin, cos = np.sin(np.radians(spec.position_angle_deg)), np.cos(np.radians(spec.position_angle_deg))
    side = 1.0 if spec.mirrored else -1.0
    turned = np.array([[side * cos, sin], [-side * sin, cos]])
    return np.asarray(turned * spec.pixel_scale / ARCSEC)
