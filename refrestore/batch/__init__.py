"""Many films: a queue of them, and who works it off."""
