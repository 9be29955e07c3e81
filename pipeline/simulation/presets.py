"""Nights to choose from by name."""

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.simulation.night import NightSpec

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
    }
)
