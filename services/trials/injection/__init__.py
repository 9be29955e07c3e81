"""Injection and recovery: signals put into the raw frames of a processed observation, and how many are found again.

OUT_DIR/frames (raw frames with signals), truth.csv, work (as of `tianyu run`), recovery.csv, recovery.png
"""

from services.trials.injection.injected_frames import FRAMES_FOLDER, claim_folder, require_space, write_frames
from services.trials.injection.plan import Plan, make_plan
from services.trials.injection.process import WORK_FOLDER, process
from services.trials.injection.processed_night import ProcessedNight, read_night
from services.trials.injection.recovery import Recovery, measure
from services.trials.injection.recovery_report import Report, make_report

__all__ = [
    "FRAMES_FOLDER",
    "WORK_FOLDER",
    "Plan",
    "ProcessedNight",
    "Recovery",
    "Report",
    "claim_folder",
    "make_plan",
    "make_report",
    "measure",
    "process",
    "read_night",
    "require_space",
    "write_frames",
]
