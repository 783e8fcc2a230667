"""Which of the addresses that an image has is the image."""
