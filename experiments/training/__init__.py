"""A run from its folder to its last checkpoint: loop, callbacks, processes, interruption."""
