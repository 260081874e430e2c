"""Measurements on single images: shift, focus, quality, background, landmarks, flip."""
