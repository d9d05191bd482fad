"""Official checkpoints: cards that say where they are, and commands that fetch, verify and convert them."""
