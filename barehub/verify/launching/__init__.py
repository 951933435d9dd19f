"""A launch: build a repository, compute in its notebook, and stop it again."""
