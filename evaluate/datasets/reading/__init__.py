"""What readers of all forms share: texts and JSON, places of images, captions, tars, hashes."""
