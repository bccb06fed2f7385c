"""Whole recordings: transcribed piece by piece, and kept where their speaker agrees."""
