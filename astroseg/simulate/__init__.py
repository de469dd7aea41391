"""Skies with truth: an image, its noise-free model, its catalogue and its label image."""
