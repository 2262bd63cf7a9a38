"""Model catalogue, verified download, sessions."""
