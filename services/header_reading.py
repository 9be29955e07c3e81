"""Reading: settings of how frames' headers and names are read, where frames are registered."""

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from services.frame_reading import FrameReading
from services.known_instruments import KnownInstrument, KnownStation, instrument_of, station_of
from services.time_zones import ZoneName

LONGEST_PATTERN = 200  # characters


class Reading(FrameReading):
    """What an operator says of the headers to come; what was read by it is registered, and stands in the rows."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # Regular expressions with the groups obj, band and sn, for names of files; the first that fits counts.
    patterns: tuple[Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN)], ...] = ()
    dialects: Path | None = None  # folder of the operator's own
    targets_file: Path | None = None  # of the operator's: places and stars by target, which become choices
    # Hours that a clock is ahead of UTC whose stamps do not say that they are UTC.
    clock_offset_h: Annotated[float, Field(ge=-14, le=14)] | None = None
    time_zone: ZoneName | None = None  # of these clocks, in place of hours: summer time with it
    instrument: dict[str, KnownInstrument] = Field(default_factory=dict)  # by name
    station: dict[str, KnownStation] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _stations_are_there(self) -> "Reading":
        for name, table in self.instrument.items():
            if table.station is not None and table.station not in self.station:
                raise ValueError(f"instrument {name!r} is at station {table.station!r}, of which there is no table")
        clocks = [(table.clock_offset_h, table.time_zone) for table in self.station.values()]
        for hours, zone in ((self.clock_offset_h, self.time_zone), *clocks):
            if hours is not None and zone is not None:
                raise ValueError("clock_offset_h and time_zone are both set: one of them tells what clocks show")
        return self

    @property
    def reading(self) -> "Reading":
        """These alone."""
        return Reading.model_validate({name: getattr(self, name) for name in Reading.model_fields})

    def names(self, camera: str, telescope: str) -> tuple[str | None, str | None]:
        """Of the tables of instruments and stations that a frame's camera and telescope match."""
        instrument = instrument_of(self.instrument, camera, telescope)
        named = None if instrument is None else self.instrument[instrument].station
        return instrument, station_of(self.station, named, camera, telescope)

    def of(self, camera: str, telescope: str) -> "Reading":
        """As it is for a camera and its telescope."""
        instrument, station = self.names(camera, telescope)
        told: dict[str, object] = {}
        if instrument is not None:
            table = self.instrument[instrument]
            told = {name: value for name in FrameReading.model_fields if (value := getattr(table, name)) is not None}
        if station is not None and self.clock_offset_h is None and self.time_zone is None:
            told["clock_offset_h"] = self.station[station].clock_offset_h
            told["time_zone"] = self.station[station].time_zone
        return self.model_copy(update=told) if told else self
