"""Image bytes to pixels, sizes and hashes: one decoder for every stage.

- `headers`: what the first bytes tell, and the error that every module here raises.
- `decoding`: bytes to upright sRGB pixels.
- `hashes`: the sha256 of the bytes, the perceptual hash of the pixels.
- `stored`: what `fetch` keeps of an image.

Everything is pure: no network, no files. The room imports nothing above `openalign.files`.
"""
