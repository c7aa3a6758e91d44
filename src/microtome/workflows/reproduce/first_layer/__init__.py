"""`microtome reproduce first-layer`: what the first layer learns."""
