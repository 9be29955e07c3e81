"""Results for scientists: light curves, variables, transits, plots and summaries, read from the views."""
