"""The restorer: tensors in, tensors out. Knows no file, no video, no project."""
