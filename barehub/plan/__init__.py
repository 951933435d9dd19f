"""What a plan of Terraform's will do, in words: which changes, what forces them, what they lose."""
