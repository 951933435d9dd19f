"""Terraform and OpenTofu: recipes, runs, their events, and the state between them."""
