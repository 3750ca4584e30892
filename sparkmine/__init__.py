"""sparkmine."""
