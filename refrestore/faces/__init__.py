"""One frame's faces: detect, landmarks, embed, align, quality, pose."""
