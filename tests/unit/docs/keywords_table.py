"""The tables of keywords and dialects in docs/how-to/own-frames.md: `python -m tests.unit.docs.keywords_table`."""

import re

from services.ingest.dialect import Keywords
from services.ingest.dialect_files import SHIPPED, STANDARD, STANDARD_NAME, read_dialect
from tests.unit.docs.pages import DOCS

PAGE = DOCS / "how-to" / "own-frames.md"
NAMES = {
    "kind": "kind of frame",
    "exposure": "exposure time",
    "utc": "start, UTC by name",
    "julian_date": "Julian date",
    "sidereal_time": "sidereal time",
    "hour_angle": "hour angle",
    "altitude": "altitude of the target",
    "elevation": "elevation of the place",
    "gain_or_setting": "gain, or a setting",
    "binning_text": "binning in one",
    "read_mode": "read mode",
    "scale": "pixel scale",
    "focal_length": "focal length",
    "pixel_size": "pixel size",
    "orientation": "position angle of the y axis",
    "local_time": "local time",
    "time_of_day": "time of day",
    "read_noise": "read noise",
}


def keywords() -> str:
    """A line a fact of the standard."""
    rows = []
    for fact in Keywords.model_fields:
        keys = getattr(STANDARD.keywords, fact)
        flat = [key for one in keys for key in ((one,) if isinstance(one, str) else one)]
        rows.append(f"| {NAMES.get(fact, fact)} | `{fact}` | {', '.join(f'`{key}`' for key in flat)} |")
    return "\n".join(["| fact | in dialects | keywords, in this order |", "| --- | --- | --- |", *rows, ""])


def dialects() -> str:
    """A line a dialect that comes with Tianyu."""
    files = sorted(path for path in SHIPPED.glob("*.toml") if path.stem != STANDARD_NAME)
    rows = []
    for path in files:
        dialect = read_dialect(path)
        ways = " or ".join(
            " and ".join(f"`{key}`" if pattern == "*" else f"`{key} = {pattern}`" for key, pattern in way.items())
            for way in dialect.recognised
        )
        rows.append(f"| `{path.stem}` | {dialect.about} | {ways} |")
    return "\n".join(["| dialect | of | recognised by |", "| --- | --- | --- |", *rows, ""])


def page() -> str:
    """The page with both tables in their places."""
    text = PAGE.read_text()
    for head, table in (("fact", keywords()), ("dialect", dialects())):
        text = re.sub(rf"^\| {head} \|.*\n(?:\|.*\n)+", lambda _, table=table: table, text, flags=re.MULTILINE)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
