"""Reading git repositories: from the objects on disk to record batches for the log.

In the order data flows: `git_process` starts git shut off from every configuration, `repository`
opens a source through a private bare view and takes its refs, `reader_pool` spreads commits over
worker processes, `git_reader` is such a worker; it reads `diff_stream` (texts and diffs) and makes
records with `commit_object` (raw commits), `patch` (patch text) and `commit_batch`.
"""
