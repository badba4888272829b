"""A simulator of Stripe's API on loopback."""
