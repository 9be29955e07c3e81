"""Quality bits of a measured flux, named as in SExtractor where it has the same bit."""

from enum import IntFlag


class Flag(IntFlag):
    """Bits of column ``flag``; 0 means that nothing is known against the measurement."""

    CROWDED = 1  # neighbours bias the flux by more than a tenth (SExtractor bit 1)
    BLENDED = 2  # deblended from a neighbour when it was detected (SExtractor bit 2)
    SATURATED = 4  # a raw pixel at or above the saturation level lies in the aperture (SExtractor bit 4)
    EDGE = 8  # the aperture or its sky annulus leaves the image (SExtractor bit 8)
    BAD_PIXEL = 16  # a hot, dead or unusable pixel lies in the aperture (SExtractor: aperture data incomplete)
    NO_SKY = 32  # too few sky pixels in the annulus: the frame's background was used alone
    COSMIC_RAY = 64  # a cosmic ray hit the aperture; its pixels were filled in
    TRAIL = 128  # the trail of a satellite or an aircraft crosses the aperture
    NONLINEAR = 256  # a raw pixel above the level up to which the detector is linear lies in the aperture
    BAD_FRAME = 512  # the frame did not pass the selection; set by the view, never in table flux
    MISSING = 1024  # the source lies off the frame or could not be measured there


OF_THE_STAR = int(Flag.CROWDED | Flag.BLENDED)  # hold on all frames alike: they say nothing against a single point
