"""Degradations, metrics and benchmark films with ground truth."""
