"""The review page in a browser; a package, so that one Chromium serves all of it."""
