"""Following a network while it learns."""
