"""Whole pieces of work made of looks and training: what a command does from beginning to end."""
