"""The model card and the data card of a run, as the Hugging Face Hub reads them."""
