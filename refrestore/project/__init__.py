"""The project folder and the profiles."""
