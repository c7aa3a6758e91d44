"""Pictures as the network is given them, from wherever they lie."""
