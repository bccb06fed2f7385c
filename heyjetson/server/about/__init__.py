"""The page About: the model, its graph, versions and limits."""
