"""Clips to train and test a trigger word on: words, near-misses and backgrounds, placed and mixed by drawing."""
