"""Sentences that pages show name no folder of the machine."""

from pathlib import Path

import pytest

from services.web.answers import path_free

ROOT = Path("/srv/tianyu data/root")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("file '/srv/tianyu data/root/calibrated/4/17.fits' is gone", "file 'calibrated/4/17.fits' is gone"),
        ("file '/mnt/night 1/raw/a b.fits' cannot be read as FITS", "file 'a b.fits' cannot be read as FITS"),
        ('its folder "/mnt/night/raw" is away', 'its folder "raw" is away'),
        ("No such file: /mnt/night/raw/a.fits; look", "No such file: a.fits; look"),
        ("`tianyu rerun --from calibrate 4` makes it again", "`tianyu rerun --from calibrate 4` makes it again"),
        (
            "12/40 frames, 3.2 adu/s; see https://example.org/a/b",
            "12/40 frames, 3.2 adu/s; see https://example.org/a/b",
        ),
        ("image raw/2026/a.fits is not aligned", "image raw/2026/a.fits is not aligned"),
    ],
)
def test_files_are_named_below_the_image_folder(words: str, shown: str) -> None:
    assert path_free(words, ROOT) == shown
