"""Pictures grown for a unit: what is to grow, how a picture is written, how it is moved, and the loop, kept apart."""
