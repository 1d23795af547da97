"""Networks, their layers, inputs and outputs, data and scores."""
