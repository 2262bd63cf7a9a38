"""The faces of single pictures: detect, landmarks, embed, align, quality, pose."""
