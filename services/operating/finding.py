"""What `tianyu doctor` found of one thing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``remedy`` is empty when it is as it should be."""

    subject: str
    found: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Nothing to do."""
        return not self.remedy
