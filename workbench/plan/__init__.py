"""Spectra, plans and the policies that make them."""
