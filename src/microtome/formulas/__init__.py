"""Mathematics on arrays: each formula with its reference. Knows no models."""
