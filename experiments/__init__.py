"""What surrounds a run: entry points, preflight, training, metrics, tracking, evaluation, export."""

from heyjetson import privacy as _privacy

_privacy.opt_out(_privacy.WORKSTATION)  # before NeMo and W&B are imported
