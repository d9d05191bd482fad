"""What the papers claim, judged from tables: the published ones and the measured ones."""
