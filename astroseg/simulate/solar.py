"""The Sun's disk with features on it, as a filtergram shows it: brightness relative to the quiet Sun.

Features are drawn on the sphere, so that they are foreshortened towards the limb. The numbers are round ones: limb
darkening of the continuum in the red 1 - 0.6 (1 - mu) (after Neckel & Labs 1994, Sol. Phys. 153, 91), penumbra at 0.75
and umbra at 0.25 of the quiet Sun (after Solanki 2003, A&AR 11, 153), coronal holes at about a third of the quiet
corona, filaments at half of the chromosphere, ribbons more than ten times brighter than it and saturated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from astroseg.catalog import complete
from astroseg.errors import UsageError
from astroseg.simulate.sky import Sky, check_size
from astroseg.sky import to_sky

__all__ = ["CHANNELS", "simulate_solar"]

RADIUS = 960.0  # arcsec, of the disk
FIELD = 2500.0  # arcsec, of the image
LIMB_DARKENING = {"continuum": 0.6, "chromosphere": 0.5}
QUIET = 4000.0  # counts of the quiet Sun in the middle of the disk
SCALE_HEIGHT = 60.0  # arcsec, of the corona beyond the limb
PENUMBRA, UMBRA = 0.75, 0.25
UMBRA_SIZE = 0.45  # of the spot's radius


@dataclass(frozen=True)
class _Feature:
    kind: str
    number: tuple[int, int]
    contrast: tuple[float, float]
    latitude: float
    shape: Callable[..., list[np.ndarray]]
    size: tuple[float, float]


def simulate_solar(
    *,
    size: int = 512,
    seed: int = 1,
    channel: str = "continuum",
    texture: float = 0.03,
    saturation: float = 16.0,
) -> Sky:
    """Make a full disk.

    Parameters
    ----------
    size : int, pixels
        Side of the square image, which spans 2500 arcsec.
    seed : int
        The same seed gives the same bytes.
    channel : {"continuum", "euv", "chromosphere"}
        ``continuum`` shows sunspots; ``euv`` coronal holes and active regions; ``chromosphere`` filaments, and the two
        ribbons of a flare.
    texture : float
        Contrast of granulation (in ``euv`` ten times it, of the corona's loops), as a fraction of the brightness.
    saturation : float, in units of the quiet Sun
        Brighter pixels have this value.

    Returns
    -------
    `~astroseg.simulate.sky.Sky`
        In counts, in helioprojective coordinates. Labels are the features themselves, whose borders are sharp; the
        model has no texture and no photon noise, and is not saturated. The flux of a dark feature is negative. The
        truth has the columns ``simulate_kind``, ``simulate_contrast`` (brightness over that of the quiet Sun there) and
        ``simulate_umbra_pixels``.

    Examples
    --------
    >>> from astroseg.simulate.solar import simulate_solar
    >>> sky = simulate_solar(size=128, channel="euv")
    >>> print(*sorted(set(sky.truth["simulate_kind"])), sep=", ")
    active region, coronal hole
    """
    check_size(size)
    if channel not in CHANNELS:
        msg = f"There is no channel '{channel}'. Choose from {', '.join(CHANNELS)}."
        raise UsageError(msg)
    if not (texture >= 0 and saturation > 0):
        msg = f"The texture must be zero or positive and the saturation positive, not {texture} and {saturation}."
        raise UsageError(msg)
    rng = np.random.default_rng(seed)
    pixel = FIELD / size
    sphere = _sphere(size, pixel)
    quiet = QUIET * _quiet(channel, sphere)
    contrast, labels, kinds = _draw_features(rng, channel, sphere)
    model = quiet * contrast
    data = _observed(rng, model, channel, texture, saturation)
    image = CCDData(
        data, unit=u.ct, wcs=_wcs(size, pixel), meta={"name": f"{channel}-{seed}", "path": None, "header": None}
    )
    truth = _truth(image, labels, kinds, model, quiet, texture * (10 if channel == "euv" else 1))
    truth.meta = {"simulator": "solar", "seed": seed, "size": size, "channel": channel}
    truth.meta |= {"texture": texture, "saturation": saturation}
    return Sky(image, model.astype(np.float32), truth, labels)


def _wcs(size, pixel) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    wcs.wcs.crval = [0.0, 0.0]
    wcs.wcs.crpix = [size / 2 + 0.5, size / 2 + 0.5]
    wcs.wcs.cdelt = [pixel / 3600, pixel / 3600]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.dateobs = "2024-01-01T00:00:00"
    wcs.wcs.aux.rsun_ref = 6.957e8
    wcs.wcs.aux.dsun_obs = 6.957e8 / np.sin(np.radians(RADIUS / 3600))
    wcs.wcs.aux.hgln_obs = wcs.wcs.aux.hglt_obs = 0.0
    return wcs


# The disk


def _sphere(size, pixel) -> np.ndarray:
    """Unit vectors to the surface in each pixel, (west, north, to the observer); NaN beyond the limb."""
    steps = (np.arange(size) - (size - 1) / 2) * pixel / RADIUS
    west, north = np.meshgrid(steps, steps)
    with np.errstate(invalid="ignore"):
        return np.stack([west, north, np.sqrt(1 - west**2 - north**2)])


def _quiet(channel, sphere) -> np.ndarray:
    """Brightness of the Sun without features, 1 in the middle."""
    mu = sphere[2]
    if channel in LIMB_DARKENING:
        return np.where(np.isfinite(mu), 1 - LIMB_DARKENING[channel] * (1 - mu), 0.0)
    # A thin atmosphere looks brighter where the line of sight is longer, and fades beyond the limb.
    height = np.fmax(np.hypot(sphere[0], sphere[1]) - 1, 0) * RADIUS
    return np.where(np.isfinite(mu), np.fmin(1 / np.fmax(mu, 0.2), 2.0), 2.0 * np.exp(-height / SCALE_HEIGHT))


def _observed(rng, model, channel, texture, saturation) -> np.ndarray:
    """Texture of the surface, photon noise, and a detector that saturates."""
    if texture:
        pattern = gaussian_filter(rng.standard_normal(model.shape), 1.0, mode="wrap") * np.sqrt(4 * np.pi)
        model = model * (np.exp(10 * texture * pattern) if channel == "euv" else np.fmax(1 + texture * pattern, 0))
    # Rounded, so that last bits, which may differ between machines, do not decide how many photons come.
    noisy = rng.poisson(np.round(np.fmin(model, 1e9), 3)).astype(np.float32)
    return np.fmin(noisy, np.float32(saturation * QUIET))


# Features


def _draw_features(rng, channel, sphere) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Contrast of each pixel, labels, and the kind of each label; a feature never covers an older one."""
    contrast, labels = np.ones(sphere.shape[1:]), np.zeros(sphere.shape[1:], dtype=np.int32)
    kinds: list[str] = []
    for feature in CHANNELS[channel]:
        for _ in range(rng.integers(feature.number[0], feature.number[1] + 1)):
            level = rng.uniform(*feature.contrast)
            for inside in _outline(rng, feature, sphere):
                own = (inside < 1) & (labels == 0)
                if own.any():
                    kinds.append(feature.kind)
                    labels[own] = len(kinds)
                    contrast[own] = level
                    if feature.kind == "sunspot":
                        contrast[own & (inside < UMBRA_SIZE)] = UMBRA
    return contrast, labels, kinds


def _outline(rng, feature, sphere) -> list[np.ndarray]:
    """Maps that are below 1 inside of the feature, one for each of its parts."""
    latitude = np.radians(np.clip(rng.normal(0, feature.latitude), -80, 80))
    longitude = np.radians(rng.uniform(-65, 65))
    centre = np.array([np.cos(latitude) * np.sin(longitude), np.sin(latitude), np.cos(latitude) * np.cos(longitude)])
    east_west = np.cross([0.0, 1.0, 0.0], centre)
    east_west /= np.linalg.norm(east_west)
    along, across = (np.tensordot(axis, sphere, 1) for axis in (east_west, np.cross(centre, east_west)))
    in_front = np.tensordot(centre, sphere, 1) > 0
    angle, radius = rng.uniform(0, np.pi), np.radians(rng.uniform(*feature.size))
    turned = (
        (along * np.cos(angle) + across * np.sin(angle)) / radius,
        (across * np.cos(angle) - along * np.sin(angle)) / radius,
    )
    return [np.where(in_front & np.isfinite(part), part, np.inf) for part in feature.shape(rng, *turned)]


def _blob(rng, along, across) -> list[np.ndarray]:
    """One irregular outline: a circle with a few waves."""
    angle = np.arctan2(across, along)
    waves = (rng.normal(0, 0.25 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5))
    return [np.hypot(along, across) / np.fmax(1 + sum(waves), 0.3)]


def _thread(rng, along, across) -> list[np.ndarray]:
    """One long and bent line, thinner at its ends."""
    return [_ribbon(along, across, rng.normal(0, 0.3), 0.0)]


def _pair(rng, along, across) -> list[np.ndarray]:
    """Two lines side by side, with a gap between them."""
    bend, gap = rng.normal(0, 0.2), rng.uniform(0.2, 0.45)
    return [_ribbon(along, across, bend, side * gap) for side in (-1, 1)]


def _ribbon(along, across, bend, offset) -> np.ndarray:
    width = 0.09 * np.sqrt(np.fmax(1 - along**2, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(width > 0, np.abs(across - offset - bend * (along**2 - 0.3)) / width, np.inf)


#: Channel -> the features that it shows: kind, least and most of them, contrast, scatter of latitude in degrees, shape,
#: and radius (half length) in degrees on the sphere.
CHANNELS = {
    "continuum": (_Feature("sunspot", (3, 12), (PENUMBRA, PENUMBRA), 18.0, _blob, (1.0, 3.5)),),
    "euv": (
        _Feature("coronal hole", (1, 4), (0.25, 0.45), 40.0, _blob, (8.0, 22.0)),
        _Feature("active region", (1, 5), (3.0, 8.0), 18.0, _blob, (4.0, 9.0)),
    ),
    "chromosphere": (
        _Feature("ribbon", (1, 1), (12.0, 40.0), 18.0, _pair, (8.0, 16.0)),
        _Feature("filament", (2, 8), (0.4, 0.65), 30.0, _thread, (6.0, 22.0)),
    ),
}


def _truth(image, labels, kinds, model, quiet, texture) -> QTable:
    number = np.arange(len(kinds) + 1)
    flat = labels.ravel()
    pixels = np.bincount(flat, minlength=number.size)[1:]
    y, x = np.indices(labels.shape)
    x, y = (np.bincount(flat, values.ravel(), number.size)[1:] / pixels for values in (x, y))
    change = (model - quiet).ravel()
    flux = np.bincount(flat, change, number.size)[1:]
    background = np.bincount(flat, quiet.ravel(), number.size)[1:] / pixels
    rms = np.sqrt(background + (texture * background) ** 2)
    extreme = np.zeros(number.size)
    np.maximum.at(extreme, flat, np.abs(change))
    peak = np.copysign(extreme[1:], flux)
    longitude, latitude = to_sky(image.wcs, x, y)
    kind = np.array(kinds, dtype="U16")
    dark = np.bincount(flat, (model < 0.5 * quiet).ravel(), number.size)[1:].astype(int)
    values = {
        "label": number[1:],
        "x_centroid": x,
        "y_centroid": y,
        "hpc_x": longitude * 3600,
        "hpc_y": latitude * 3600,
        "peak_flux": peak,
        "flux": flux,
        "n_pixels": pixels,
        "snr": np.abs(peak) / rms,
        "local_rms": rms,
        "island": number[1:],
        "simulate_kind": kind,
        "simulate_contrast": np.bincount(flat, model.ravel(), number.size)[1:] / (background * pixels),
        "simulate_umbra_pixels": np.where(kind == "sunspot", dark, 0),
    }
    return complete(values, image)
