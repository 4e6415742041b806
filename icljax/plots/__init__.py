"""Pictures of runs and evaluations: a file per subject; `figures` is the only importer of matplotlib."""
