"""The commands that are started from the root: overrides, resuming, errors as sentences; none of it imports NeMo."""
