"""Nights to choose from by name: two that a survey sees, and those of telescopes that are harder on a pipeline."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from pipeline.trials.simulation.night_spec import WEST_SEXAGESIMAL, NightSpec
from pipeline.trials.simulation.psf import Haloed, Moffat, Ring

# An amateur's or a school's telescope: no accidents but cosmic rays, one transit.
_SCHOOL = NightSpec(
    shape=(300, 300),
    n_stars=40,
    mag_max=15.5,
    n_pulsators=0,
    n_binaries=0,
    n_flares=0,
    cloudy_fraction=0.0,
    n_smeared=0,
    n_trails=0,
)
# Rings spread a star's light over a hundred pixels: it may be brighter than in focus, and must stand farther apart.
_DEFOCUSED = replace(
    _SCHOOL,
    shape=(400, 400),
    n_stars=24,
    mag_min=9.0,
    mag_max=13.0,
    seeing=1.6,
    seeing_change=0.2,
    psf=Ring(12.0),
    seed=7,
)

PRESETS: Mapping[str, NightSpec] = MappingProxyType(
    {
        "demo": NightSpec(),
        # A survey telescope's frames for three hours: 1,300 stars in view, 2 GB of files.
        "night": NightSpec(
            shape=(2048, 2048),
            n_frames=240,
            n_stars=1300,
            ra_deg=350.0,  # setting: airmass 1.0 to 1.4
            drift=(60.0, -35.0),
            n_transits=2,
            n_pulsators=4,
            n_binaries=2,
            n_flares=2,
            n_dead_columns=3,
            n_dust=20,
            n_smeared=3,
            n_trails=6,
            cosmic_rays=60.0,
            n_bias=10,
            n_dark=10,
            n_flat=10,
        ),
        # A window of the detector read out every three seconds for 100 minutes; `--size 120x520` is a higher one.
        "window": replace(
            _SCHOOL,
            shape=(64, 520),
            n_frames=2000,
            exposure_s=2.0,
            cadence_s=3.0,
            n_stars=7,
            mag_min=8.0,
            mag_max=12.5,
            mag_slope=0.1,
            drift=(9.0, -4.0),
            drift_walk=0.03,
            hot_pixel_max=2000.0,
            cosmic_rays=0.3,
            seed=69,
        ),
        "defocus": _DEFOCUSED,
        "spider": replace(_DEFOCUSED, psf=Ring(14.0, vane_width=0.1, angle_deg=10.0)),
        "coma": replace(_DEFOCUSED, psf=Ring(12.0, vane_width=0.05, coma=0.2, angle_deg=30.0)),
        # A small camera behind a sharp telescope: FWHM 1.2 to 1.6 pixels, 1.5 to 1.8 once pixels have integrated it.
        "undersampled": replace(
            _SCHOOL,
            psf=Moffat(4.765),
            pixel_scale=1.4,
            seeing=1.8,
            seeing_change=0.3,
            mag_min=12.0,
            mag_max=16.5,
            n_stars=80,
        ),
        # A star of magnitude 7 that saturates amid the field, its halo over its neighbours.
        "halo": replace(_SCHOOL, bright_star_mag=7.0, psf=Haloed(share=0.1, halo_fwhm_px=30.0)),
        # Three stars in all.
        "few": replace(
            _SCHOOL, shape=(256, 256), n_stars=3, mag_min=11.0, mag_max=13.5, min_separation_fwhm=15.0, seed=35
        ),
        # Nine degrees across, as a camera lens sees them; `--sky-seed` alone is one field on one night, and
        # `--ra`, `--dec`, `--position-angle` and `--start-jd` another of the same sky.
        "wide": replace(
            _SCHOOL,
            shape=(1024, 1024),
            n_frames=12,
            exposure_s=10.0,
            cadence_s=30.0,
            pixel_scale=31.7,
            psf=Moffat(4.765),
            seeing=45.0,
            seeing_change=3.0,
            zero_point=20.0,
            sky_mag=19.5,
            sky_seed=1,
            sky_density=20.0,
            sky_separation_arcsec=140.0,
            sky_faintest_mag=15.5,
            sky_brightest_mag=6.0,
            position_angle_deg=120.0,
            distortion=0.004,
            drift=(2.0, -1.0),
            n_transits=0,
        ),
        # A school observatory on America's east coast, whose program writes longitudes to the west as positive numbers
        # and no gain.
        "west": replace(
            _SCHOOL,
            latitude_deg=42.61,
            longitude_deg=-71.485,
            elevation_m=110.0,
            start_jd=2460622.62,
            longitude_in_headers=WEST_SEXAGESIMAL,
            gain_in_headers=False,
        ),
    }
)
