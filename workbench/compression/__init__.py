"""From a network to a smaller network."""
