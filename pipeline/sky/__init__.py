"""The celestial sphere: coordinates of images, matches with catalogues, times and horizons."""
