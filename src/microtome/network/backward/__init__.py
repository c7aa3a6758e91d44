"""Back through a network to the pixels, by the rule that is asked for."""
