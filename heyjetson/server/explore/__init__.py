"""The page Explore: views of a recording."""
