"""OpenALIGN: from web pages to a trained dual encoder and a benchmark report (ALIGN, ICML 2021).

The words this code uses, one for each thing:

    page        an HTML document, named by its URL
    candidate   (image URL, alt-text) as found on a page, before anything is judged
    pair        a candidate that every rule kept and whose image is stored
    image       the image behind one canonical URL, fetched once
    alt-text    the words that belong to an image
    shard       a webdataset tar of images, with an index that makes it randomly readable
    ledger      one row for every candidate that fetch was given, and how it ended
    manifest    what a stage wrote: names, counts, checksums, settings, fingerprint
    tower       one of the two encoders: EfficientNet for images, BERT for text
    embedding   a tower's output, of unit length
    benchmark   images with captions and splits, for evaluation only
"""
