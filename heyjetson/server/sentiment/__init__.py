"""The page Sentiment: a conversation, sentence by sentence."""
