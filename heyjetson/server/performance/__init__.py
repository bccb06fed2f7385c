"""The page Performance: a data set through engines, its results and their intervals."""
