"""What a run begins from (`train.init_from`): a model, another run, or towers from elsewhere."""
