"""Reading: settings of how frames' headers and names are read, where frames are registered."""

from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from services.frame_reading import FrameReading


class Reading(FrameReading):
    """What an operator says of the headers to come; what was read by it is registered, and stands in the rows."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dialects: Path | None = None  # folder of the operator's own
    # Hours that a clock is ahead of UTC whose stamps do not say that they are UTC.
    clock_offset_h: Annotated[float, Field(ge=-14, le=14)] | None = None

    @property
    def reading(self) -> "Reading":
        """These alone."""
        return Reading.model_validate({name: getattr(self, name) for name in Reading.model_fields})
