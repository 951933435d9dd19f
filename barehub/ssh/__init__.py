"""SSH keys of a run: its agent, the keys in it, and the hosts that they are for."""
