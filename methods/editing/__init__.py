"""Directions in latent space: how published methods find them and move codes along them."""
