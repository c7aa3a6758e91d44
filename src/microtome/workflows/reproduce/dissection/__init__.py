"""`microtome reproduce dissection`: the third document's reading of a small network, with controls."""
