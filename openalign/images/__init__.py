"""Image bytes to pixels, sizes and hashes: one decoder for every stage.

- `signatures`: what a file is, by its first bytes.
- `png_chunks`: a PNG without what is not the image.
- `headers`: what the first bytes tell, and the error that every module here raises.
- `jpeg_scans`: whether a JPEG that decoders doubt has all its pixels.
- `samples`: values of any depth to eight bits.
- `decoding`: bytes to upright sRGB pixels.
- `hashes`: the sha256 of the bytes, the perceptual hash of the pixels.
- `stored`: what `fetch` keeps of an image.

Everything is pure: no network, no files. The room imports nothing above `openalign.files`.
"""
