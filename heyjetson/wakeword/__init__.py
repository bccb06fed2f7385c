"""Wake words: the trigger, its events, recordings to train it, and speech behind it."""
