"""The data of a run: prepared, loaded, and checked before the first step."""
