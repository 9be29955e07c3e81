"""QLCP's words as options and settings of the program `tianyu`.

Two conventions differ: QLCP's apertures are diameters and its pixels count from 1, as SExtractor's do; Tianyu's are
radii, and its pixels count from 0. Both are turned here.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tianyu.by_target import Table, own, tables, targets_of
from tianyu.errors import RunError

# Settings of QLCP's configuration that Tianyu has by another name.
SETTINGS = {
    "pick_err_max": "pick_error_max",
    "pick_bad_max": "pick_missing_max",
    "pick_var_std": "pick_target_scatter_min",
    "pick_var_rad": "pick_target_radius",
    "pick_ref_n": "pick_references",
    "pick_ref_std": "pick_scatter_max",
    "pick_ref_dif": "pick_range_max",
    "match_max_dis": "manual_match_px",
}
# Words that nothing of Tianyu corresponds to, and what to do instead.
ELSEWHERE = {
    "steps": "only what is missing is computed: leave it out, or give until or only, with a step of Tianyu's",
    "mode": "give existing (append, skip, overwrite, error) and missing (skip, error), or leave both out",
    "ini_file": "write settings into tianyu.toml, or give them to run by their names",
    "site_lon": "name the station in the settings (station)",
    "site_lat": "name the station in the settings (station)",
    "site_ele": "name the station in the settings (station)",
    "site_tz": "give clock_offset_h, where headers have local time",
    "offset_max_dis": "frames are aligned however far they are off: leave it out",
    "draw_phot": "plots are drawn: leave it out",
    "draw_phot_err": "plots are drawn: leave it out",
    "file_log": "give log_level",
    "scr_log": "give log_level",
}
FIRST_PIXEL = 1  # of QLCP's starxy, as SExtractor and DS9 count


@dataclass
class Options:
    """What the program is started with; ``needed`` are options that not every version has, and the words for them."""

    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    needed: dict[str, str] = field(default_factory=dict)
    by_target: dict[str, Table] = field(default_factory=dict)  # tables of the program's file of targets

    def add(self, option: str, value: object, word: str) -> None:
        """An option that not every version has."""
        self.arguments.append(f"{option}={value}")
        self.needed[option] = word

    def set(self, name: str, value: object) -> None:
        """A setting, by its variable."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.environment[f"TIANYU_{name.upper()}"] = text


def options_of(words: Mapping[str, Any]) -> Options:
    """What the words mean; None is as if a word were not there.

    obj, object: one target's name, or several: only these are reduced.
    band: bands, ``"BVR"`` or ``["B", "V"]``: only these are reduced.
    use_bias, alt_bias: a FITS file (or a PID, or an observation) to be taken always, or where there is none.
    use_flat, alt_flat: the same, or by band: ``{"B": "flat_B.fits"}``. use_dark, alt_dark: as for the bias.
    alt_coord: (right ascension, declination) where the telescope pointed, sexagesimal or degrees; by target in a dict.
    base_img: the frame that the others are aligned to, by its number from 0, or a file of the night.
    existing, missing: what is done with what has light curves, or lacks masters, instead of QLCP's mode.
    until, only: the last step of Tianyu's that is made, or the one that is made alone, instead of QLCP's steps.
    aper: diameters of apertures in pixels; negative: multiples of the FWHM.
    starxy: pixels of stars on the base image; by target in a dict.
    ind_tgt, ind_ref, ind_chk: which of them are targets, references and checks, by index from 0; by target in a dict.
    All other words are settings of Tianyu, or of QLCP's configuration.

    Raises:
        RunError: a word is unknown, or has a value that it cannot have.
    """
    given = {word: value for word, value in words.items() if value is not None}
    options = Options()
    names = _list(given.pop("obj", None)) + _list(given.pop("object", None))
    for name in names:
        options.add("--only-object", name, "obj")
    for band in _bands(given.pop("band", None)):
        options.add("--only-filter", band, "band")
    for kind in ("bias", "dark", "flat"):
        for way in ("use", "alt"):
            _master(options, f"{way}_{kind}", given.pop(f"{way}_{kind}", None))
    for word in ("existing", "missing", "until", "only"):
        if word in given:
            options.add(f"--{word}", given.pop(word), word)
    if (base := given.pop("base_img", None)) is not None:
        options.add("--reference-frame", base if isinstance(base, int) else os.fspath(base), "base_img")
        if base != 0 and given.get("starxy") is not None:
            raise RunError(
                "starxy are pixels of the base image in QLCP, of the first frame in Tianyu: give base_img=0, or name "
                "the stars by coordinates (manual_targets, manual_references, manual_checks)"
            )
    if (aper := given.pop("aper", None)) is not None:
        options.set("aperture_radii", [float(size) / 2.0 for size in _list(aper)])
    _places(options, given, names)
    if "border_cut" in given:
        cut = given.pop("border_cut")
        options.set("border_cut", [cut] * 4 if isinstance(cut, int) else list(cut))
    if "flat_limit_low" in given or "flat_limit_high" in given:
        low, high = given.pop("flat_limit_low", 5000), given.pop("flat_limit_high", 50000)
        options.set("flat_limits_adu", [low, high])
    for word, value in given.items():
        _setting(options, word, value)
    return options


def _setting(options: Options, word: str, value: Any) -> None:
    if word in ELSEWHERE:
        raise RunError(f"{word} is a word of QLCP that Tianyu does without: {ELSEWHERE[word]}")
    if not word.isidentifier() or not word.islower():
        raise RunError(f"{word!r} is no word that Tianyu knows")
    options.set(SETTINGS.get(word, word), value)


def _master(options: Options, word: str, given: Any) -> None:
    if given is None:
        return
    option = f"--{word.replace('_', '-')}"
    pairs: list[tuple[str, Any]] = (
        list(given.items()) if isinstance(given, Mapping) else [("", one) for one in _list(given)]
    )
    for band, what in pairs:
        text = os.fspath(what) if isinstance(what, (str, os.PathLike)) else str(what)
        if not text.isdigit():
            text = os.path.abspath(text.rstrip("/"))  # noqa: PTH100 - links stay
        options.add(option, f"{band}={text}" if band else text, word)


def _places(options: Options, given: dict[str, Any], names: Sequence[str]) -> None:
    """Stars and coordinates: settings where they are those of all targets or of one, else a table for each."""
    stars = {word: given.pop(word, None) for word in ("starxy", "ind_tgt", "ind_ref", "ind_chk")}
    place = given.pop("alt_coord", None)
    targets = targets_of({**stars, "alt_coord": place}, names)
    stars_by_target = any(isinstance(value, Mapping) for value in stars.values())
    if len(targets) == 1:
        stars = {word: own(value, targets[0]) for word, value in stars.items()}
        place, stars_by_target = own(place, targets[0]), False

    def table_of(name: str) -> Table:
        table: Table = {}
        if isinstance(place, Mapping) and (its := own(place, name)) is not None:
            table["radec"] = ",".join(map(_angle, _pair(its)))
        if stars_by_target:
            its_stars = {word: own(value, name) for word, value in stars.items()}
            named = any(isinstance(value, Mapping) and its_stars[word] is not None for word, value in stars.items())
            table |= _chosen_stars(its_stars, f" of {name!r}") if named else {}
        return table

    options.by_target = tables(targets, table_of)
    if options.by_target and "targets_file" in given:
        raise RunError("words by target are a file of targets of their own: leave out targets_file, or say all there")
    if place is not None and not isinstance(place, Mapping):
        ra, dec = _pair(place)
        options.arguments.append(f"--radec={ra},{dec}")
    if stars_by_target:
        options.set("relative_methods", ["ensemble"])  # the program puts `manual` first where a target has stars
    elif chosen := _chosen_stars(stars):
        for part in ("targets", "references", "checks"):
            options.set(f"manual_{part}", chosen[part])
        options.set("relative_methods", ["manual", "ensemble"])


def _pair(place: Any) -> tuple[Any, Any]:
    try:
        ra, dec = place
    except (TypeError, ValueError):
        raise RunError(f"alt_coord has {place!r}: expected a pair (right ascension, declination)") from None
    return ra, dec


def _angle(value: Any) -> str:
    """As a file of targets has it: degrees are marked."""
    text = str(value).strip()
    return text if ":" in text or text.endswith("d") else f"{text}d"


def _chosen_stars(given: Mapping[str, Any], whose: str = "") -> Table:
    """Target, reference and check stars; empty where none are given."""
    if given["starxy"] is None:
        if any(one is not None for one in given.values()):
            raise RunError(f"ind_tgt, ind_ref and ind_chk{whose} are places in the list starxy: give that too")
        return {}
    stars = [_star(place) for place in given["starxy"]]
    targets = _chosen(given["ind_tgt"], stars, "ind_tgt") if given["ind_tgt"] is not None else stars[:1]
    checks = [] if given["ind_chk"] is None else _chosen(given["ind_chk"], stars, "ind_chk")
    if given["ind_ref"] is None:
        references = [star for star in stars if star not in targets and star not in checks]
    else:
        references = _chosen(given["ind_ref"], stars, "ind_ref")
    return {"targets": targets, "references": references, "checks": checks}


def _star(place: Any) -> str:
    """Pixels of the first frame as the settings have them."""
    try:
        x, y = (float(value) - FIRST_PIXEL for value in place)
    except (TypeError, ValueError):
        raise RunError(f"starxy has {place!r}: expected pairs (x, y)") from None
    return f"{x:g},{y:g}" if abs(x) < 1e5 and abs(y) < 1e5 else _off(place)


def _off(place: Any) -> str:
    raise RunError(f"starxy has {place!r}, which lies on no image")


def _chosen(index: Any, stars: Sequence[str], word: str) -> list[str]:
    numbers = [index] if isinstance(index, int) else list(index)
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number < len(stars):
            raise RunError(f"{word} has {number!r}: starxy has {len(stars)} stars, counted from 0")
    return [stars[number] for number in numbers]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, (str, int, float, os.PathLike)) else list(value)


def _bands(value: Any) -> list[str]:
    """Each letter of a text is a band, as in QLCP; names of more letters stand in a list."""
    return [] if value is None else [str(band) for band in value]
