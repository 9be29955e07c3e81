"""Results in the files of other pipelines."""
