"""Frames with overscan, of several amplifiers and of colour cameras give the night of the plain frames."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from sqlalchemy import select

from schema.image import Image
from schema.observing import Filter, Observation, Target
from services.ingest.raw_folder import read_folder
from services.masters import masters_used
from services.operating.metrics.manager_metrics import without_masters
from services.operating.reduction import publish
from services.results.lightcurves.observation_facts import find_observation
from services.results.plots.roles import read_positions
from services.setup import open_engine
from tests.integration.small_night import Night

OVERSCAN_PX = 24
GAINS = (1.5, 1.2)  # of two amplifiers, e-/ADU; the simulated camera's is the first
MEAN_FLUXES = "SELECT AVG(flux_raw) FROM light_curve WHERE aperture = 2 AND flux_raw IS NOT NULL GROUP BY source_id"

Pixels = NDArray[Any]


def fluxes(night: Night) -> NDArray[np.float64]:
    """Mean flux of each star, ascending."""
    return np.sort([flux for (flux,) in night.rows(MEAN_FLUXES)])


def reduced(folder: Path, workdir: Path) -> Night:
    night = Night.open(workdir)
    night.publish(folder)
    night.work()
    return night


def frames_of(folder: Path) -> list[tuple[Path, Pixels, fits.Header]]:
    found = []
    for path in sorted(folder.glob("*.fits")):
        pixels, header = fits.getdata(path).astype(float), fits.getheader(path)
        for key in ("BZERO", "BSCALE"):
            header.remove(key, ignore_missing=True)
        found.append((path, pixels, header))
    return found


@pytest.fixture
def copied(raw: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(raw, tmp_path / "raw"))


def with_overscan(rng: np.random.Generator, data: Pixels) -> Pixels:
    """Rows whose level jumps by 8 ADU, about another level in each frame, beside the noise of their overscan."""
    level = rng.normal(0.0, 8.0, (data.shape[0], 1)) + rng.normal(0.0, 30.0)
    overscan = 1000.0 + level + rng.normal(0.0, 4.0, (data.shape[0], OVERSCAN_PX))
    return np.rint(np.hstack([overscan, data + level]))


def test_levels_that_jump_are_taken_off_by_the_overscan(copied: Path, processed: Night, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for path, pixels, header in frames_of(copied):
        nx, ny = pixels.shape[1], pixels.shape[0]
        header["BIASSEC"] = f"[1:{OVERSCAN_PX},1:{ny}]"
        header["TRIMSEC"] = f"[{OVERSCAN_PX + 1}:{OVERSCAN_PX + nx},1:{ny}]"
        fits.writeto(path, with_overscan(rng, pixels).astype(np.uint16), header, overwrite=True)
    night = reduced(copied, tmp_path / "work")
    assert night.facts().geometry == "trim 25:152,1:128, overscan"
    with night.sessions() as session:
        assert {str(one) for one in masters_used(session, night.facts().graph_pid)} == {
            "bias used", "dark used", "flat used",
        }  # fmt: skip
        shapes = set(session.execute(select(Image.ny, Image.nx)).all())
    assert shapes == {(128, 128)}
    theirs, ours = fluxes(night)[-10:], fluxes(processed)[-10:]
    assert theirs == pytest.approx(ours, rel=0.01)
    place = "SELECT x, y FROM source_place ORDER BY flux DESC LIMIT 5"
    in_file = np.array(night.rows(place)) - (OVERSCAN_PX, 0)  # people read positions off the file
    assert in_file == pytest.approx(np.array(processed.rows(place)), abs=0.2)
    with night.sessions() as session:
        observation = find_observation(session, night.observation())
        shown = list(read_positions(session, observation).values())[:5]
    assert np.array(shown) == pytest.approx(np.array(night.rows(place)), abs=1e-6)
    noise = "SELECT AVG(background_rms) FROM image WHERE kind = 'calibrated'"
    [(found,)], [(plain,)] = night.rows(noise), processed.rows(noise)
    assert found < 1.02 * plain  # jumps of 8 ADU would make it 20 % more


def test_frames_whose_overscan_is_left_out_have_masters_of_their_own(copied: Path, tmp_path: Path) -> None:
    """Headers of the lights alone tell of an overscan that is not there in the others: no bias of another level."""
    for path in copied.glob("Simulated_R_*.fits"):
        fits.setval(path, "TRIMSEC", value="[1:100,1:128]")
        fits.setval(path, "BIASSEC", value="[101:128,1:128]")
    for kind in ("bias", "dark", "flat"):
        for path in copied.glob(f"{kind}_*.fits"):
            fits.setval(path, "TRIMSEC", value="[1:100,1:128]")
    night = Night.open(tmp_path / "work")
    said: list[str] = []
    publish(open_engine(night.settings), night.settings, read_folder(copied), said.append, said.append)
    words = "observation 1 has trim 1:100,1:128 instead of trim 1:100,1:128, overscan"
    assert f"observation {night.observation()}: no bias frames that fit ({words}), going on without" in said
    with night.sessions() as session:  # what the managers tell of it
        assert without_masters(session) == {("local", kind): 1 for kind in ("bias", "dark", "flat")}


def test_two_amplifiers_of_unlike_gain_are_one_frame(copied: Path, processed: Night, tmp_path: Path) -> None:
    for path, pixels, header in frames_of(copied):
        half = pixels.shape[1] // 2
        hdus: list[Any] = [fits.PrimaryHDU(header=header)]
        del hdus[0].header["GAIN"]
        for number, (part, gain) in enumerate(zip((pixels[:, :half], pixels[:, half:]), GAINS, strict=True)):
            level = 300.0 * (number + 1)
            data = np.hstack([(part - 1000.0) * GAINS[0] / gain + level, np.full((part.shape[0], OVERSCAN_PX), level)])
            data = data if number == 0 else np.hstack([data[:, half - 1 :: -1], data[:, half:]])
            where = f"[1:{half},1:128]" if number == 0 else f"[128:{half + 1},1:128]"
            own = {
                "DETSEC": where, "DATASEC": f"[1:{half},1:128]", "BIASSEC": f"[{half + 1}:{half + OVERSCAN_PX},1:128]",
                "GAIN": gain,
            }  # fmt: skip
            hdus.append(fits.ImageHDU(np.rint(data).astype(np.uint16), fits.Header(own)))
        fits.HDUList(hdus).writeto(path, overwrite=True)
    night = reduced(copied, tmp_path / "work")
    assert night.facts().geometry.startswith("2 amplifiers ")
    assert fluxes(night)[-10:] == pytest.approx(fluxes(processed)[-10:], rel=0.01)


def test_a_colour_camera_gives_four_observations(copied: Path, tmp_path: Path) -> None:
    """Each with masters of its own colour and a template of half the pixels; all from the same files."""
    response = {"R": 0.75, "G1": 1.0, "G2": 1.0, "B": 0.5}
    for path, pixels, header in frames_of(copied):
        for place, share in enumerate(response.values()):
            part = pixels[place // 2 :: 2, place % 2 :: 2]
            part[:] = 1000.0 + (part - 1000.0) * share
        header["BAYERPAT"] = "RGGB"
        header.remove("FILTER", ignore_missing=True)
        fits.writeto(path, np.rint(pixels).astype(np.uint16), header, overwrite=True)
    night = reduced(copied, tmp_path / "work")
    query = (
        select(Filter.name, Observation.geometry, Observation.graph_pid, Observation.observation_id)
        .join(Target, Target.target_id == Observation.target_id)
        .join(Filter, Filter.filter_id == Observation.filter_id)
        .where(Target.kind == "light")
    )
    with night.sessions() as session:
        made = session.execute(query).all()
        for _, _, graph, _ in made:
            assert [str(one) for one in masters_used(session, graph)] == ["bias used", "dark used", "flat used"]
        paths = session.execute(select(Image.path, Image.path_digest).where(Image.kind == "light")).all()
    assert sorted(geometry for _, geometry, _, _ in made) == [f"plane {plane}" for plane in ("B", "G1", "G2", "R")]
    assert {name.rpartition(" ")[2] for name, _, _, _ in made} == set(response)
    assert len({digest for _, digest in paths}) == len(paths) == 4 * len({path for path, _ in paths})
    bad = "SELECT MAX(hot_pixels) FROM image WHERE kind = 'calibrated'"
    assert night.rows(bad)[0][0] < 0.05 * 64 * 64
    skies = dict(night.rows("SELECT observation_id, AVG(background) FROM image WHERE kind = 'calibrated' GROUP BY 1"))
    level = {geometry[6:]: skies[number] for _, geometry, _, number in made}
    assert level["R"] / level["G1"] == pytest.approx(0.75, rel=0.03)
    assert level["B"] / level["G2"] == pytest.approx(0.5, rel=0.03)
    places = "SELECT x, y FROM source_place WHERE observation_id = {} ORDER BY flux DESC LIMIT 1"
    first = [night.rows(places.format(number))[0] for _, _, _, number in made]
    assert np.ptp(np.array(first), axis=0).max() < 0.5  # one star is at one place of the file, in whichever colour
    again = Night.open(tmp_path / "work")
    again.publish(copied)
    assert again.work() == []
