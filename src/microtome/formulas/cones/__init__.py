"""Filters as polyhedral cones: where a layer's whole map is on. Knows weights, biases and grids; knows no models."""
