"""Sweeps of sweep.yaml without a server: Optuna chooses, each trial is a process of the command W&B would run."""
