"""Comparing runs: read from folders, bundles and W&B; differences judged; shown as a table and as a page."""
