"""What a network does where its input or its inside is another."""
