"""QLCP's words become the options and settings that they mean, or are refused with what to do."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tianyu
from tianyu.by_target import file_of
from tianyu.words import options_of

from services.targets_file import read_targets

STARS = [(927, 1018), (855, 920), (1107, 1349), (1161, 1434)]


def settings(**words: Any) -> dict[str, Any]:
    def read(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    return {name.removeprefix("TIANYU_").lower(): read(text) for name, text in options_of(words).environment.items()}


def test_the_call_of_the_manual_means_what_it_says(tmp_path: Path) -> None:
    flats = {"B": tmp_path / "flat_B.fits", "V": f"{tmp_path}/flat_V.fits/"}
    words = {"obj": "TOI3646", "band": "BV", "alt_coord": ("00:58:41.43", "+57:35:24.23"), "alt_flat": flats}
    assert options_of(words).arguments == [
        "--only-object=TOI3646", "--only-filter=B", "--only-filter=V",
        f"--alt-flat=B={tmp_path}/flat_B.fits", f"--alt-flat=V={tmp_path}/flat_V.fits",
        "--radec=00:58:41.43,+57:35:24.23",
    ]  # fmt: skip


def test_apertures_are_diameters_and_pixels_count_from_one() -> None:
    told = settings(aper=(17, -2.5), starxy=STARS, ind_tgt=0, ind_ref=[1, 3], ind_chk=2)
    assert told == {
        "aperture_radii": [8.5, -1.25],
        "manual_targets": ["926,1017"],
        "manual_references": ["854,919", "1160,1433"],
        "manual_checks": ["1106,1348"],
        "relative_methods": ["manual", "ensemble"],
    }


def test_without_indices_the_first_star_is_the_target_and_the_others_are_references() -> None:
    told = settings(starxy={"UYUMa": STARS}, obj="UYUMa")
    assert told["manual_targets"] == ["926,1017"]
    assert len(told["manual_references"]) == 3
    assert settings(starxy=STARS[:1])["manual_references"] == [], "references are picked"


def test_words_by_target_are_a_table_for_each() -> None:
    words = {
        "obj": ["UYUMa", "ACAnd"],
        "alt_coord": {"UYUMa": ("12:34:56", "+23:45:67.89"), "Other": ("1", "2")},
        "starxy": {"uy uma": STARS, "ACAnd": STARS[:3]},
        "ind_tgt": {"UYUMa": 0, "ACAnd": 2},
        "ind_ref": {"UYUMa": [1, 3]},
        "ind_chk": 1,
    }
    options = options_of(words)
    assert options.by_target == {
        "UYUMa": {
            "radec": "12:34:56,+23:45:67.89",
            "targets": ["926,1017"], "references": ["854,919", "1160,1433"], "checks": ["854,919"],
        },
        "ACAnd": {"targets": ["1106,1348"], "references": ["926,1017"], "checks": ["854,919"]},
    }  # fmt: skip
    assert options.arguments == ["--only-object=UYUMa", "--only-object=ACAnd"]
    assert settings(**words) == {"relative_methods": ["ensemble"]}


def test_the_program_reads_the_file_of_targets(tmp_path: Path) -> None:
    names = ["HAT-P-32", 'β "Lyr"\\', "a\x7fb"]
    tables = options_of({"starxy": dict.fromkeys(names, STARS), "alt_coord": {names[0]: (31.04, 46.69)}}).by_target
    file = tmp_path / "targets.toml"
    file.write_text(file_of(tables), encoding="utf-8")
    read = read_targets(file)
    assert list(read) == names
    assert read[names[1]].references == tuple(tables[names[1]]["references"])
    assert read[names[0]].radec == "31.04d,46.69d"


def test_other_words_are_settings() -> None:
    told = settings(pick_ref_n=10, gain=1.5, catalog_file="gaia.csv", border_cut=5, flat_limit_low=8000)
    assert told == {
        "pick_references": 10, "gain": 1.5, "catalog_file": "gaia.csv", "border_cut": [5] * 4,
        "flat_limits_adu": [8000, 50000],
    }  # fmt: skip


@pytest.mark.parametrize("base", [0, 6, "base/AAA.fits"])
def test_the_base_image_is_the_reference_frame(base: object) -> None:
    assert options_of({"base_img": base}).arguments == [f"--reference-frame={base}"]


def test_modes_are_options() -> None:
    options = options_of({"existing": "overwrite", "missing": "error"})
    assert options.arguments == ["--existing=overwrite", "--missing=error"]
    assert not options.environment


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"steps": "lbf"}, "only what is missing"),
        ({"ind_ref": [1]}, "starxy"),
        ({"starxy": STARS, "ind_ref": [4]}, "starxy has 4 stars"),
        ({"starxy": [(1, 2, 3)]}, "pairs"),
        ({"starxy": {"A": STARS}, "ind_ref": {"A": [1], "B": [2]}}, r"of 'B' are places in the list starxy"),
        ({"starxy": {"UY UMa": STARS, "UYUMA": STARS}}, "a target twice"),
        ({"alt_coord": {"A": "12:34:56", "B": ("3", "4")}}, "expected a pair"),
        ({"alt_coord": {"A": ("1", "2"), "B": ("3", "4")}, "targets_file": "t.toml"}, "leave out targets_file"),
        ({"Bad-Word": 1}, "no word"),
        ({"starxy": STARS, "base_img": 3}, "base_img=0"),
        ({"starxy": STARS, "base_img": "AAA.fits"}, "base_img=0"),
    ],
)
def test_what_cannot_be_is_refused(words: dict[str, Any], says: str) -> None:
    with pytest.raises(tianyu.RunError, match=says):
        options_of(words)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that knows few options, says something, and fails."""
    path = tmp_path / "tianyu"
    path.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "print('--only-object --radec') if '--help' in sys.argv else sys.exit('error: the disk is full')\n"
    )
    path.chmod(0o755)
    return path


def test_what_a_program_does_not_know_is_refused_before_anything_is_made(program: Path, tmp_path: Path) -> None:
    with pytest.raises(tianyu.RunError, match=r"cannot do yet.*base_img \(--reference-frame\)"):
        tianyu.run(tmp_path, tmp_path / "red", base_img=6, program=program)
    assert not (tmp_path / "red").exists()


def test_a_failure_has_the_programs_own_message(program: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(tianyu.RunError, match="error: the disk is full"):
        tianyu.run(tmp_path, tmp_path / "red", obj="X", program=program, tell=said.append)
    assert said == ["error: the disk is full"]
    with pytest.raises(tianyu.RunError, match="is no program"):
        tianyu.run(tmp_path, tmp_path / "red", program=tmp_path / "missing")


def test_the_client_knows_none_of_the_programs_packages() -> None:
    for module in Path(tianyu.__file__).parent.glob("*.py"):
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(module.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
        }
        assert not imported & {"schema", "pipeline", "services"}, module.name
