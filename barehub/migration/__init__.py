"""What came before barehub: repositories of git-crypt, taken over into the vault."""
