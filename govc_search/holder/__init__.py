"""Asking the process that holds a data directory.

A directory belongs to one process at a time. `listener` is what every opened engine answers
others with, `asking` what a command asks with; `frames` are the bytes between them, `messages`
what these mean.
"""
