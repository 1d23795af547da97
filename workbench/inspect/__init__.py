"""Inspection: images with answers, filters, comparisons, rank curves, layer-wise tables and factors."""
