"""Detrending: relative light curves freed of what several stars of a field still share, by methods side by side."""

from pipeline.detrend.detrended_field import Detrended, Field
from pipeline.detrend.sysrem import detrend_sysrem
from pipeline.detrend.tfa import detrend_tfa
from pipeline.detrend.trends import detrend_trends

__all__ = ["Detrended", "Field", "detrend_sysrem", "detrend_tfa", "detrend_trends"]
