"""A real DNS server on loopback, and Cloudflare's API in front of it."""
