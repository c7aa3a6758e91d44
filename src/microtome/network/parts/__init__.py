"""Layers taken apart: what each channel adds to each unit."""
