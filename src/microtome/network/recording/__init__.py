"""Every place of a network, found and measured by running it; it comes back untouched."""
