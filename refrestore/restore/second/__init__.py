"""The second stage: any restorer of faces behind the fusion. Each network has its own file."""
