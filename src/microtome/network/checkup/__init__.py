"""Is a network well, and can one look at it in full?"""
