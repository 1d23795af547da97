"""Read images from a file, a folder or a ZIP file."""
