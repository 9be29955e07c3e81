"""What `tianyu status` shows: what was expected, what is done, what failed and why, what is stuck, and who works."""

from services.operating.status.fleet import LiveService, QueueStatus
from services.operating.status.observation_status import (
    CommandStatus,
    Failure,
    FailureGroup,
    Hindered,
    ObservationStatus,
    Retry,
    Running,
)
from services.operating.status.observations import MAX_FAILURES, finished, light_curves_made, status
from services.operating.status.overview import Overview, overview
from services.operating.status.stuck import Stuck

__all__ = [
    "MAX_FAILURES",
    "CommandStatus",
    "Failure",
    "FailureGroup",
    "Hindered",
    "LiveService",
    "ObservationStatus",
    "Overview",
    "QueueStatus",
    "Retry",
    "Running",
    "Stuck",
    "finished",
    "light_curves_made",
    "overview",
    "status",
]
