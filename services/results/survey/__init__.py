"""Whole nights and whole skies as files for surveys: Parquet by night and filter, HATS by place."""
