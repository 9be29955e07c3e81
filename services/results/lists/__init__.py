"""Lists of stars: what a file names, which sources they are on which nights, and their light curves in one table."""
