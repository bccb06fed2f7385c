"""Cut a long recording into the utterances of its transcript, by CTC forced alignment with one's own model."""
