"""What one looks at: images with answers, filters, kernels, rank curves, layer-wise tables and factors."""
