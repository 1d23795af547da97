"""Read files of images: one file, a folder of them, a ZIP file."""
