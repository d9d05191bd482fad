"""What every other part stands on: errors, registries, atomic files, weights with cards, configuration."""
