"""The two towers, the loss, and the Hugging Face export."""
