"""Comparisons and measurements against git; each module runs by itself."""
