"""Cards of a camera's header that still hold of a calibrated image; the others are left out, or stand corrected before.

What a process knows better (times, exposure, place, pointing, gain, names) is dropped here, written anew or not: a card
that ingest did not believe is no better in a calibrated image.
"""

import re

from services.fits_cards import COMMENTARY, sound_cards
from services.fits_writer import ADDED_CARDS

MOST_KEPT = 400  # cards; a header of more is damaged, or made to fill disks
_STRUCTURE = r"""
    SIMPLE BITPIX NAXIS\d* EXTEND XTENSION PCOUNT GCOUNT GROUPS TFIELDS THEAP
    T(?:TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM)\d+ BSCALE BZERO BLANK BUNIT DATAMIN DATAMAX CHECKSUM DATASUM END
    EXTNAME EXTVER EXTLEVEL INHERIT NEXTEND NAMPS CONTINUE
    Z(?:IMAGE|TENSION|SIMPLE|EXTEND|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|QUANTIZ|DITHER0|BLANK)
    Z(?:SCALE|ZERO|HECKSUM|DATASUM|MASKCMP) FZALGOR FZTILE FZQ.* COMPRESS LONGSTRN FITSVER DATE FILENAME FILE
    ORIGFILE
"""
_READOUT = r"""
    BIASSEC\w* TRIMSEC\w* DATASEC\w* CCDSEC\w* AMPSEC\w* DETSEC\w* ASEC\w* BSEC\w* CSEC\w* DSEC\w* TSEC\w* OVERSCAN
    PRESCAN\w* LT[MV]\d.* AT[MV]\d.* DT[MV]\d.* BAYERPAT BAYOFF[XY] [XY]BAYROFF COLORTYP CFAPAT ROWORDER CSTRETCH
"""
_SKY = r"""
    WCSAXES\w? WCSNAME\w? WCSDIM CTYPE\d\w? CUNIT\d\w? CRPIX\d\w? CRVAL\d\w? CDELT\d\w? CROTA\d\w? CRDER\d\w?
    CSYER\d\w? CNAME\d\w? (?:CD|PC)\d_\d\w? (?:CD|PC)\d{6} P[VS]\d_\d+\w? LONPOLE\w? LATPOLE\w? EQUINOX\w?
    RADESYS\w? RADECSYS EPOCH WAT\d_\d+ [AB]P?_(?:\d+_\d+|ORDER|DMAX) PLTSOLVD PLATESOL WCSMATCH IMAGE[WH] MW_\w+
    PIXSCALE SECPIX\d? PIXSCAL\d? SCALE PLTSCALE RA DEC OBJCTRA OBJCTDEC OBJRA OBJDEC RA_OBJ DEC_OBJ RAOBJ2?K?
    DECOBJ2?K? RA_DEG DEC_DEG RA_D DEC_D RA2000 DEC2000 RADEG DECDEG OBJCTALT OBJCTAZ OBJCTHA OBJCTROT ROTANG PA
    POSANGLE CCDPA
"""
_TIMES = r"""
    DATE-?OBS DATE_OBS TIME-?OBS TIME_OBS DATE-(?:AVG|BEG|END|LOC|MID) DATE_(?:AVG|BEG|END|LOC|MID) TIME
    TIME-(?:AVG|BEG|END|MID|LOC) UT UTC UT-.* UTC-.* UTSTART UTEND UTSHUT UTMIDDLE UTCSTART UTCEND UTOBS UTCOBS
    EXPSTART EXPEND TIMESYS MJDREF\w? TIMEZONE M?JD JD[-_].* MJD[-_].* JDSTART JDEND JULDATE JULIAN [HB]JD
    [HB]JD[-_].* JD-HELIO LST LST-.* ST HA HA_.* ZD ZD_.* SIDTIME EXPTIME EXPOSURE EXPOSED EXP_TIME ITIME TELAPSE
    ELAPTIME DARKTIME XPOSURE AIRMASS AIRMASS\d AM SECZ ALT AZ ALTITUDE AZIMUTH ELEVATIO CENTALT CENTAZ ALT_OBJ
    AZ_OBJ TELALT TELAZ SITELAT SITELONG SITEELEV SITEALT LATITUDE LONGITUD LAT-OBS LONG-OBS ALT-OBS OBS-LAT
    OBS-LONG OBS-ELEV OBSLAT OBSLON\w* OBSALT OBSGEO-.* GEOLAT GEOLON GEOELEV HEIGHT
"""
_DETECTOR = r"""
    GAIN\w* EGAIN\w* CCDGAIN AGAIN_\d+ RDNOISE\w* RDNOIS READNOI\w* ARDNS_\d+ RON ENOISE SATURAT\w* SATLEVEL MAXLIN
    LINLIMIT INSTRUME TELESCOP FILTER FILTERS OBJECT OBJNAME IMAGETYP OBSTYPE FRAMETYP IMTYPE DATA-TYP CALSTAT
    APTDIA APERTURE [XY]BINNING CCD-TEMP CREATOR PEDESTAL DATAMODE CBLACK CWHITE TIANYU\w* PRODUCT RAWFILE DETSET
    NCOMBINE COMBINE TOTEXP NIGHT (?:BIAS|DARK|FLAT)(?:FILE|PID) SKYLEVEL SKYRMS FWHM NSTARS
"""
_DROPPED = re.compile("|".join(f"{_STRUCTURE}{_READOUT}{_SKY}{_TIMES}{_DETECTOR}".split()))
_STANDARD_COMMENT = re.compile(r"COMMENT\s+(?:FITS \(Flexible Image|and Astrophysics', volume 376)")


def kept_cards(header: str) -> tuple[str, int]:
    """Cards of a camera's header that hold of its calibrated image, and how many were too many to be kept.

    Args:
        header: cards of 80 characters each.
    """
    kept: list[str] = []
    seen: set[str] = set()
    left_out = 0
    for keyword, text in sound_cards(header):
        is_comment = keyword in COMMENTARY
        if (keyword in seen or _DROPPED.fullmatch(keyword)) if not is_comment else not _is_said(text):
            continue
        if len(kept) >= MOST_KEPT:
            left_out += 1
            continue
        if not is_comment:
            seen.add(keyword)
        kept.append(text)
    return "".join(kept), left_out


def _is_said(text: str) -> bool:
    """Whether a comment says something of its own, and is not the line behind which coordinates are added."""
    return bool(text[8:].strip()) and text != ADDED_CARDS.decode() and not _STANDARD_COMMENT.match(text)
