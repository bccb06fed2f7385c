"""A model to begin with: its checkpoint found, its configuration inherited, its weights loaded."""
