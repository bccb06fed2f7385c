"""Synthetic voices: engines that speak a text, behind one small interface, and what they said, kept and reused."""
