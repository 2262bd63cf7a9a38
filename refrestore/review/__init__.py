"""The review page: a small HTTP API over a project, for one user on the same machine.

Import `server` for running it; everything here needs the extra `review`.
"""
