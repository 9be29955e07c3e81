"""Whole numbers in words of somebody else: an address, a form, a setting."""

LARGEST = 2**63 - 1  # that a row can be numbered with
MOST_DIGITS = len(str(LARGEST))


def whole_number(words: str, most: int = LARGEST) -> int | None:
    """The number that ASCII digits write; None for anything else, and above ``most``."""
    if not (words.isascii() and words.isdecimal() and len(words) <= MOST_DIGITS):
        return None
    number = int(words)
    return number if number <= most else None
