"""Trigger words: trained, mined, evaluated."""
