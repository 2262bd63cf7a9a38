"""Command line: parse, validate, one call."""
