"""Trained models as predictors: `load(run).at(x_context, y_context, x_query)`; a file per subject."""
