"""The one error of the pipeline: arrays that cannot give a result."""


class UnusableDataError(ValueError):
    """The arrays cannot give a result; the message says what was found, what was expected and what to do."""


class SaturatedFrameError(UnusableDataError):
    """Too many pixels of a frame are full."""
