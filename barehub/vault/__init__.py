"""The vault: secrets in SOPS files with age recipients, and who may read them."""
