"""What reports become, for people and for programs."""
