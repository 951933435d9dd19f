"""What tasks.py is made of. Only invoke is imported here at first: `invoke --list` stays quick."""
