"""What headers say was taken off a frame already, as programs write it."""

import pytest

from services.ingest.reduced_frames import taken_off
from tests.unit.ingest.made_frames import header


@pytest.mark.parametrize(
    ("cards", "letters"),
    [
        ({"CALSTAT": "BDF"}, "BDF"),  # MaxIm DL, AstroImageJ
        ({"CALSTAT": "BD"}, "BD"),
        ({"CALSTAT": "DM"}, "BD"),  # M: a master; a dark holds the bias
        ({"CALSTAT": "F"}, "BDF"),
        ({"CALSTAT": "B,D,F"}, "BDF"),
        ({"CALSTAT": "BDFL"}, "BDF"),
        ({"SUBBIAS": "ccd=<CCDData>, master=<CCDData>", "SUBDARK": "ccd=<CCDData>, master=<CCDData>"}, "BD"),
        ({"L1STATFL": -1, "L1STATDA": -1, "FLATCORR": "PERFORM", "DARKCOR": "N/A", "BIASCOR": "none"}, ""),
        ({"CALSTAT": ""}, ""),
        ({"CALSTAT": "not calibrated"}, ""),
        ({"ZEROCOR": "Oct 13 10:45 Zero level correction image is Zero", "FLATCOR": "Oct 13 Flat field image"}, "BDF"),
        ({"DARKCOR": "no"}, ""),
        ({"FLATCOR": False, "ZEROCOR": True}, "B"),
        ({"RLEVEL": 91, "L1STATBI": 1}, "BDF"),  # LCO
        ({"RLEVEL": 0, "L1STATBI": 0, "L1STATFL": "F"}, ""),
        ({"OBJECT": "BDF"}, ""),
    ],
)
def test_what_was_taken_off(cards: dict[str, object], letters: str) -> None:
    assert taken_off(header(**cards)) == letters
