"""The calibration library: which frames and masters there are, and which of them an observation gets, and why."""

from services.operating.calibration.explaining import Explained, MasterUsed, Refused, explain
from services.operating.calibration.library import CalibrationFrames, library

__all__ = ["CalibrationFrames", "Explained", "MasterUsed", "Refused", "explain", "library"]
