"""From log-probabilities to text: greedy and beam search, language model, hot words."""
