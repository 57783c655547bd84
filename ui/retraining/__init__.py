"""Parts of the page Retraining: a form and results for each of its modes."""
