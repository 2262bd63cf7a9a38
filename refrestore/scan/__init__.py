"""Pass 1: shots, tracks, identities, references."""
