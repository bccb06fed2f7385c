"""Sound that clients send, and the data sets that the operator names."""
