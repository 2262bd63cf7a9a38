"""A film before and after, in one video: side by side, split by a moving line, or faces only."""
