"""What surrounds a run: entry points, preflight, training, metrics, tracking, evaluation, export."""
