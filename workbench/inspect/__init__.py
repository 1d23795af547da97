"""What one looks at: images with answers, rank curves, layer tables, factors."""
