"""Checkpoints of a training run, by parameter: any number of ranks and ZeRO stage loads any other.

    checkpoints/step-00000400/checkpoint.json    how far the run was, and what the other files are
    checkpoints/step-00000400/__0_0.distcp       what rank 0 held (torch.distributed.checkpoint)
    checkpoints/step-00000400/.metadata          which elements of which tensor lie where

A checkpoint holds, of each parameter that is trained, the fp32 weight, both moments, the average if
there is one, and the number of updates; and buffers and frozen parameters, once. It appears under
its name when it is whole: on a file system by a rename after all is flushed to disk, on an object
store by `checkpoint.json`, which is uploaded last. There is no pointer to the newest: it is the one
of the highest step whose files are what was written.
"""
