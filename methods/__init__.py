"""Inversion methods: from an image to a code the generator can draw again."""
