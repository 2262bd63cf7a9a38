"""Adapters: the fusion network tuned to one person, on the references of a profile."""
