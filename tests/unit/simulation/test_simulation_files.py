"""A night in files: headers that FITS readers understand, truth that comes back, nothing half written."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

from pipeline.trials.simulation.night_spec import NightSpec, Stream
from pipeline.trials.simulation.psf import Ring
from pipeline.trials.simulation.truth import make_truth
from services.errors import ConfigurationError, DataError, TransientError
from services.trials.simulate import night_spec, read_truth, simulate

SPEC = NightSpec(shape=(72, 96), n_frames=4, n_stars=8, n_bias=2, n_dark=2, n_flat=3, n_smeared=1, n_trails=1)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(SPEC, tmp_path_factory.mktemp("simulated") / "night")


def pixels(folder: Path) -> dict[str, bytes]:
    return {path.name: fits.getdata(path).tobytes() for path in sorted(folder.glob("*.fits"))}


def test_files_are_those_of_a_night(night: Path) -> None:
    assert sorted(path.name for path in night.iterdir()) == sorted(
        ["bias_001.fits", "bias_002.fits", "dark_001.fits", "dark_002.fits"]
        + ["flat_R_001.fits", "flat_R_002.fits", "flat_R_003.fits", "truth"]
        + [f"Simulated_R_{i:04d}.fits" for i in (1, 2, 3, 4)]
    )
    assert sorted(path.name for path in (night / "truth").iterdir()) == [
        "frames.ecsv",
        "gaia.csv",
        "relative_flux.npy",
        "spec.json",
        "stars.ecsv",
    ]


@pytest.mark.parametrize(
    ("name", "image_type", "exposure", "cards"),
    [
        ("bias_002.fits", "Bias Frame", 0.0, {}),
        ("dark_001.fits", "Dark Frame", 30.0, {}),
        ("flat_R_003.fits", "Flat Field", 3.0, {"FILTER": "R"}),
        ("Simulated_R_0002.fits", "Light Frame", 30.0, {"FILTER": "R", "OBJECT": "Simulated", "RA": 5.0, "DEC": 35.0}),
    ],
)
def test_headers_say_what_a_frame_is(
    night: Path, name: str, image_type: str, exposure: float, cards: dict[str, object]
) -> None:
    with fits.open(night / name, do_not_scale_image_data=True) as hdus:
        hdus.verify("exception")
        header = hdus[0].header
        assert hdus[0].data.dtype == np.dtype(">i2")
    assert (header["SIMPLE"], header["BITPIX"], header["BZERO"]) == (True, 16, 32768)
    assert (header["IMAGETYP"], header["EXPTIME"]) == (image_type, exposure)
    assert (header["GAIN"], header["RDNOISE"], header["SATURATE"]) == (1.5, 8.0, 65535)
    assert (header["XBINNING"], header["YBINNING"], header["CCD-TEMP"]) == (1, 1, -20.0)
    assert (header["SITELAT"], header["SITELONG"], header["SITEELEV"]) == (38.6, 93.9, 4200.0)
    assert header["INSTRUME"]
    assert header["TELESCOP"]
    assert {key: header[key] for key in cards} == cards
    data = fits.getdata(night / name)
    assert data.dtype.kind == "u"
    assert data.shape == SPEC.shape


def test_times_are_those_of_the_truth(night: Path) -> None:
    truth = read_truth(night)
    for i in range(4):
        header = fits.getheader(night / f"Simulated_R_{i + 1:04d}.fits")
        middle = Time(header["DATE-OBS"], scale="utc").jd + header["EXPTIME"] / 2 / 86400
        assert middle == pytest.approx(truth.frames.jd_mid[i], abs=0.002 / 86400, rel=0)
        assert header["AIRMASS"] == pytest.approx(truth.frames.airmass[i], abs=1e-4)


def test_calibration_frames_come_before_the_night_one_after_the_other(night: Path) -> None:
    names = [*(f"flat_R_{i:03d}" for i in (1, 2, 3)), *(f"{k}_{i:03d}" for k in ("dark", "bias") for i in (1, 2))]
    headers = [fits.getheader(night / f"{name}.fits") for name in [*names, "Simulated_R_0001"]]
    starts = [Time(header["DATE-OBS"]).unix for header in headers]
    ends = [start + header["EXPTIME"] for start, header in zip(starts, headers, strict=True)]
    assert all(end < following for end, following in zip(ends, starts[1:], strict=False))


def test_light_frames_show_the_field_and_bias_frames_do_not(night: Path) -> None:
    truth = read_truth(night)
    x, y = truth.positions(0)
    flux = truth.electrons(0)
    inside = (x > 8) & (x < 87) & (y > 8) & (y < 63)
    star = max(np.flatnonzero(inside), key=lambda k: flux[k])
    column, row = round(x[star]), round(y[star])
    light = fits.getdata(night / "Simulated_R_0001.fits").astype(float)
    assert light[row, column] > np.median(light) + 20 * np.std(fits.getdata(night / "bias_001.fits").astype(float))


def test_truth_comes_back(night: Path) -> None:
    wanted, found = make_truth(SPEC), read_truth(night)
    assert found.spec == SPEC
    for table in ("stars", "frames"):
        for field in fields(getattr(wanted, table)):
            one, other = getattr(getattr(wanted, table), field.name), getattr(getattr(found, table), field.name)
            assert one.dtype.kind == other.dtype.kind
            np.testing.assert_array_equal(one, other)
    assert found.relative_flux.dtype == np.float32
    np.testing.assert_array_equal(found.relative_flux, wanted.relative_flux)


def test_the_same_specification_gives_the_same_pixels(night: Path, tmp_path: Path) -> None:
    assert pixels(simulate(SPEC, tmp_path / "again")) == pixels(night)
    other = pixels(simulate(replace(SPEC, seed=SPEC.seed + 1), tmp_path / "other"))
    assert all(other[name] != data for name, data in pixels(night).items())


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    simulate(SPEC, tmp_path / "night", lambda done, total: seen.append((done, total)))
    assert seen == [(done, 11) for done in range(12)]


def test_an_interrupted_night_is_written_to_its_end(night: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 8:
            raise StopError

    with pytest.raises(StopError):
        simulate(SPEC, tmp_path / "night", stop)
    assert len(list((tmp_path / "night").glob("*.fits"))) == 8
    assert pixels(simulate(SPEC, tmp_path / "night")) == pixels(night)


def test_other_frames_are_never_mixed_in(tmp_path: Path) -> None:
    (tmp_path / "mine.FITS").write_bytes(b"precious")
    with pytest.raises(ConfigurationError, match=r"holds 1 other frames \(mine.FITS, …\)"):
        simulate(SPEC, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.FITS"]


def test_another_night_is_never_mixed_in(tmp_path: Path) -> None:
    simulate(SPEC, tmp_path)
    with pytest.raises(ConfigurationError, match="holds 11 other frames"):
        simulate(replace(SPEC, n_frames=2, n_trails=0, n_smeared=0), tmp_path)
    assert read_truth(tmp_path).spec == SPEC


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "night").write_text("no folder")
    with pytest.raises(ConfigurationError, match="night' is not a folder"):
        simulate(SPEC, tmp_path / "night")


def test_a_failing_disk_names_the_file_and_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(hdu: fits.PrimaryHDU, path: Path, **options: object) -> None:
        path.write_bytes(b"SIMPLE  =")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fits.PrimaryHDU, "writeto", full)
    with pytest.raises(TransientError, match=r"flat_R_001.fits' cannot be written: .*No space left"):
        simulate(SPEC, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["truth"]


def test_missing_and_broken_truth_is_named(night: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"spec.json' is not the truth of a simulated night"):
        read_truth(tmp_path)
    copy = tmp_path / "truth"
    for broken, content in (
        ("spec.json", b'{"n_frames": "many"}'),
        ("spec.json", b'{"planets": 9}'),
        ("spec.json", b"[1]"),
        ("stars.ecsv", b"id x y\n1 2 3\n"),
        ("frames.ecsv", b""),
        ("relative_flux.npy", b""),
        ("relative_flux.npy", b"\x80\x04N."),
    ):
        copy.mkdir(exist_ok=True)
        for path in (night / "truth").iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        (copy / broken).write_bytes(content)
        with pytest.raises(DataError, match=broken):
            read_truth(tmp_path)


def test_truth_of_two_nights_mixed_up_is_found(night: Path, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    for path in (night / "truth").iterdir():
        (tmp_path / "truth" / path.name).write_bytes(path.read_bytes())
    np.save(tmp_path / "truth" / "relative_flux.npy", np.ones((3, 4), dtype=np.float32))
    with pytest.raises(DataError, match=r"relative_flux.npy' has the shape \(3, 4\)"):
        read_truth(tmp_path)


def test_a_preset_with_changes() -> None:
    assert night_spec() == NightSpec()
    assert night_spec("night").n_stars == 1300
    changed = night_spec("demo", n_frames=60, seed=None, shape=None)
    assert (changed.n_frames, changed.seed, changed.shape) == (60, NightSpec().seed, (512, 512))


def test_smaller_nights_keep_the_density_and_drop_accidents() -> None:
    small = night_spec("night", shape=(1024, 1024), n_frames=15)
    assert (small.n_stars, small.n_smeared, small.n_trails) == (325, 1, 1)
    assert night_spec("demo", shape=(64, 64)).n_stars == NightSpec().n_variables
    assert night_spec("demo", shape=(64, 64), n_stars=9).n_stars == 9
    assert night_spec("demo", n_stars=3).n_variables == 0
    assert night_spec("demo", n_stars=5).n_variables == 5
    assert night_spec("demo", n_stars=3, n_transits=1).n_variables == 1
    single = night_spec("demo", n_frames=1)
    assert make_truth(single).frames.good.all()


@pytest.mark.parametrize(
    ("preset", "changes", "words"),
    [
        ("galaxy", {}, "there is no preset 'galaxy': choose one of demo, night"),
        ("demo", {"planets": 9}, "a night has no planets"),
        ("demo", {"gain": -1.0}, "gain is -1.0"),
    ],
)
def test_impossible_choices_are_the_operators_to_correct(preset: str, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        night_spec(preset, **changes)


def test_a_night_that_cannot_be_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the simulated night is impossible: n_stars is 5000"):
        simulate(replace(SPEC, n_stars=5000), tmp_path / "night")
    assert not (tmp_path / "night").exists()


def test_every_stream_has_its_frames_own_noise(night: Path) -> None:
    assert len(set(pixels(night).values())) == 11
    assert SPEC.generator(Stream.BIAS, 0).integers(2**60) != SPEC.generator(Stream.DARK, 0).integers(2**60)


def test_headers_of_a_school_tell_no_gain_and_longitudes_to_the_west(tmp_path: Path) -> None:
    small = {"shape": (64, 64), "n_frames": 1, "n_stars": 4, "n_bias": 1, "n_dark": 0, "n_flat": 0, "n_transits": 0}
    simulate(night_spec("west", **small), tmp_path)
    for name in ("bias_001.fits", "Simulated_R_0001.fits"):
        header = fits.getheader(tmp_path / name)
        assert (header["SITELAT"], header["SITELONG"]) == ("+42 36 36.00", "+71 29 06.00")
        assert "west" not in header.comments["SITELONG"].lower()
        assert "GAIN" not in header
        assert "RDNOISE" not in header


def test_stars_out_of_focus_come_back_from_their_files(tmp_path: Path) -> None:
    psf = Ring(9.0, vane_width=0.1)
    spec = replace(SPEC, psf=psf, n_frames=1, n_smeared=0, n_trails=0, n_bias=0, n_dark=0, n_flat=0)
    assert read_truth(simulate(spec, tmp_path)).spec == spec
