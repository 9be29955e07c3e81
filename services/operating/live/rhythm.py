"""What a live night waits for: all its times and numbers."""

from dataclasses import dataclass

FIRST_FRAMES = 5  # good ones are stacked to a new sky's first template
BEST_FRAMES = 40  # a template of more is hardly better: noise of its stars is far below that of a frame
MASTERS_QUIET_S = 120.0  # after the last calibration frame what it changes is made anew, once
PATIENCE_S = 60.0  # a process that is tried again holds up later frames no longer
POLL_S = 0.25  # between looks at the folder and at what is at work
LOOK_SHARE = 10.0  # times what a look takes passes at least until the next: a core has other work
REGISTER_SHARE = 9.0  # times what registering took, which looks at all frames of the night: the next waits for so long
WHOLE_SHARE = 19.0  # times what calibrating all frames anew took passes until the next: a twentieth of the time
LONGEST_LOOK_S = 0.5  # of a slow disk; it is looked at as often
AWAY_S = 5.0  # between attempts while the folder or the database is away


@dataclass(frozen=True)
class Rhythm:
    """Frames of a first template, and up to how many it is made anew whenever they have doubled; and the times.

    Attributes:
        idle_s: without a new frame the night is over; None: never.
        until: Unix time at which it is over; None: never.
        finish: whether an order to stop ends the night too, which is published whole then, instead of leaving at once.
    """

    first: int = FIRST_FRAMES
    best: int = BEST_FRAMES
    masters_quiet_s: float = MASTERS_QUIET_S
    patience_s: float = PATIENCE_S
    idle_s: float | None = None
    until: float | None = None
    finish: bool = False
