"""Answers as VOTable, CSV, TSV and FITS, row after row."""
