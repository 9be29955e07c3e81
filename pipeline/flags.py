"""Quality bits of a measured flux, named as in SExtractor where it has the same bit."""

from enum import IntFlag


class Flag(IntFlag):
    """Bits of column ``flag``; 0 means that nothing is known against the measurement."""

    BLENDED = 2  # deblended from a neighbour when it was detected (SExtractor bit 2)
    SATURATED = 4  # a raw pixel at or above the saturation level lies in the aperture (SExtractor bit 4)
    EDGE = 8  # the aperture or its sky annulus leaves the image (SExtractor bit 8)
    BAD_PIXEL = 16  # a hot, dead or unusable pixel lies in the aperture (SExtractor: aperture data incomplete)
    NO_SKY = 32  # too few sky pixels in the annulus: the frame's background was used alone
