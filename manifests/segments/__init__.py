"""Long recordings with subtitles or labels: what is said from when to when becomes utterances."""
