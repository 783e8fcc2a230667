"""Ways to compute the contrastive loss: one value and one gradient, at different costs.

Each is a function of the same arguments, and `loss.contrastive_loss` chooses. On every rank it
returns a part of the loss, such that the mean over ranks is the loss of the global batch, and so is
the mean of the gradients over ranks the gradient of the loss.
"""
