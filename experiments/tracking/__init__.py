"""What is written of a run to W&B and beside it: loggers, tables, artifacts."""
