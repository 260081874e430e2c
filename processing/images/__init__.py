"""What steps and alignment both need of single images: shift, focus, health, flip matching."""
