"""Tasks that fine-tune the image tower, on any labelled data set."""
