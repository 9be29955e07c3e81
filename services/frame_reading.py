"""What of a file becomes a frame: fixed when the file is registered, and kept in the frame's row."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Plane = Literal["R", "G1", "G2", "B"]
Source = Literal["header", "none"]
Cut = Annotated[int, Field(ge=0, le=100_000)]
Border = tuple[Cut, Cut, Cut, Cut]


class FrameReading(BaseModel):
    """How `tianyu ingest` and `tianyu run` read frames; another choice makes other frames of the same files."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    border_cut: Border = (0, 0, 0, 0)  # pixels of the trimmed frame: left, right, bottom, top
    overscan: Source = "header"  # where BIASSEC says, or no level is taken off
    trim: Source = "header"  # to TRIMSEC or DATASEC, or not at all
    # Of a colour camera, each as an observation of its own; none: its pixels are measured as of one band.
    colour_planes: tuple[Plane, ...] = ("R", "G1", "G2", "B")

    @field_validator("colour_planes")
    @classmethod
    def _planes(cls, value: tuple[Plane, ...]) -> tuple[Plane, ...]:
        return tuple(plane for plane in cls.model_fields["colour_planes"].default if plane in value)
