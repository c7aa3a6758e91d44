"""The linear pieces of a network of rectifiers: where its inputs bend, on a line, on a plane, and at one picture."""
