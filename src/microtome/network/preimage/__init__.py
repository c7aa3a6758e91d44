"""Which inputs a layer cannot tell apart: rank of its local linear map, and pictures moved where it is blind."""
