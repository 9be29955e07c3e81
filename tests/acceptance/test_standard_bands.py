"""One field through B and V of a camera with colour terms: standard magnitudes and colours, from frames to commands."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.image import imread
from numpy.typing import NDArray

from pipeline.trials.simulation.truth import Truth
from pipeline.zero_points import RELATIONS, by_relation, index_by_relation
from schema import database
from services.results.lightcurves.observation_facts import find_observation
from services.results.lightcurves.reading import read_light_curve
from services.results.lightcurves.selection import find_source
from services.results.lightcurves.standard import StandardCurve, colours, required_curve
from services.trials.simulate import night_spec, read_truth, simulate
from tests.acceptance import own_process
from tests.acceptance.shared_sky import SKY
from tests.integration.command_line import tianyu
from tests.integration.json_keys import check

TERMS = {"B": 0.11, "V": -0.06}
BRIGHT_MAG = 15.0
GAP_D = 0.02


@dataclass(frozen=True)
class Reduced:
    """Both nights in one database; frames of the filters take turns within the same hour."""

    work: Path
    truth: Truth

    def stars(self) -> NDArray[np.intp]:
        """Places in the truth of bright constant stars whose colours both relations and calibrators have."""
        stars = self.truth.stars
        chosen = (stars.g_mag < BRIGHT_MAG) & (stars.kind == "constant") & (stars.bp_rp > 0.6) & (stars.bp_rp < 1.6)
        return np.flatnonzero(chosen)

    def curves(self, place: int) -> tuple[StandardCurve, StandardCurve] | None:
        """A star in B and V; None where it was not found in both."""
        engine = database.connect(f"sqlite:///{self.work}/tianyu.db")
        found = []
        with database.reading_factory(engine)() as session:
            for observation in observations(self.work):
                facts = find_observation(session, observation)
                try:
                    source = find_source(session, facts, gaia=int(self.truth.stars.gaia_source_id[place]))
                except Exception:
                    continue
                found.append(required_curve(session, read_light_curve(session, facts, source)))
        engine.dispose()
        found.sort(key=lambda one: one.facts.by.band)
        return (found[0], found[1]) if len(found) == 2 else None


def observations(work: Path) -> list[int]:
    """Those with zero points."""
    import sqlite3

    with sqlite3.connect(work / "tianyu.db") as connection:
        rows = connection.execute("SELECT observation_id FROM observation WHERE zero_point_pid IS NOT NULL").fetchall()
    return [row[0] for row in rows]


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reduced]:
    folder = tmp_path_factory.mktemp("bands")
    raw = folder / "raw"
    for number, (band, term) in enumerate(TERMS.items()):
        changes: dict[str, Any] = {**SKY, "shape": (360, 360), "n_frames": 9, "sky_faintest_mag": 17.0}
        changes |= {"band": band, "colour_term": term, "filter_name": band, "exposure_s": 40.0, "cadence_s": 120.0}
        changes |= {"start_jd": 2460622.10 + 0.0006 * number, "seed": number, "camera_seed": 0, "zero_point": 22.8}
        simulate(night_spec("demo", **changes), raw / band)
    work = folder / "work"
    work.mkdir()
    own_process.reduce(raw, work, catalog_file=raw / "V" / "truth" / "gaia.csv")
    return Reduced(work, read_truth(raw / "V"))


def test_bands_are_right_within_their_errors(reduced: Reduced) -> None:
    """Colour terms, and the median magnitudes of all bright stars, by their errors without the photons'."""
    pulls: dict[str, list[float]] = {"B": [], "V": []}
    for place in reduced.stars().tolist():
        both = reduced.curves(place)
        for star in both or ():
            band = star.facts.by.band
            good = star.curve.usable & np.isfinite(star.standard.magnitude)
            if not good.any():
                continue
            true = by_relation(band, reduced.truth.stars.g_mag[[place]], reduced.truth.stars.bp_rp[[place]])[0]
            value, error = (np.median(values[good]) for values in (star.standard.magnitude, star.standard.error))
            pulls[band].append((value - true) / error)
            assert abs(star.facts.by.colour_term + TERMS[band]) < 4.0 * star.facts.by.colour_term_error + 0.003
            assert star.facts.by.colour_term_error < 0.01
    for band, of_band in pulls.items():
        assert len(of_band) > 10, band
        assert np.sqrt(np.mean(np.square(of_band))) < 1.5, (band, of_band)


@pytest.mark.parametrize("colour_from", ["catalogue", "filters"])
def test_a_colour_curve_is_the_stars_colour(reduced: Reduced, colour_from: Any) -> None:
    """B - V of constant stars, by Gaia's colour and by the two filters: median within 25 mmag, noise as it is said."""
    wrong, scatter = [], []
    for place in reduced.stars().tolist():
        both = reduced.curves(place)
        if both is None:
            continue
        found = colours(*both, colour_from, GAP_D)
        known = np.isfinite(found.curve.index)
        if np.count_nonzero(known) < 6:
            continue
        true = index_by_relation("B", "V", reduced.truth.stars.bp_rp[[place]])[0]
        wrong.append(np.median(found.curve.index[known]) - true)
        scatter.append(np.std(found.curve.index[known], ddof=1) / np.median(found.curve.index_noise[known]))
    assert len(wrong) > 10
    assert np.median(np.abs(wrong)) < 0.025
    assert np.median(scatter) == pytest.approx(1.0, abs=0.35)


def test_the_command_says_it_and_draws_it(reduced: Reduced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIANYU_DATABASE_URL", f"sqlite:///{reduced.work}/tianyu.db")
    monkeypatch.setenv("TIANYU_ROOT", str(reduced.work))
    place = next(place for place in reduced.stars().tolist() if reduced.curves(place) is not None)
    both = reduced.curves(place)
    assert both is not None
    b, v = both
    gaia = str(reduced.truth.stars.gaia_source_id[place])
    pair = ("--observation", str(b.curve.observation.observation_id), "--gaia", gaia)
    told = tianyu("standard", *pair, "--output", "b.ecsv", "--plot", "b.png")
    assert told.exit_code == 0
    assert "colour term" in told.stdout
    assert f"{RELATIONS['B'].scatter:.3f} mag" in told.stdout
    table = Table.read("b.ecsv")
    assert table.meta["transformation"].startswith("B (Johnson-Cousins, Vega) from filter B")
    assert np.isfinite(table["mag_standard"]).all()
    other = str(v.curve.observation.observation_id)
    answers = [json.loads(tianyu("standard", *pair, "--json").stdout)]
    words = ("standard", *pair, "--with", other, "--colour", "filters", "--plot", "c.png", "--output", "c.csv")
    told = tianyu(*words, "--format", "csv", "--json")
    answers.append(json.loads(told.stdout))
    check("tianyu standard", *answers)
    assert answers[1]["colour"]["name"] == "B-V"
    for name in ("b.png", "c.png"):
        assert imread(name)[..., :3].std() > 0.02, "the picture is blank"
    refused = tianyu("standard", *pair, "--with", pair[1])
    assert refused.exit_code == 1
    assert "both observations are in band B" in refused.output
