"""A model on test sets: its transcripts, its figures, and how sure they are."""
