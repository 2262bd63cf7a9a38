"""Video in and out: probe, frames with exact times, composition, encoding, packet copy."""
