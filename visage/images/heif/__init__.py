"""HEIC and AVIF, two formats of one container: headers and decoding.

The still image is found and checked here, and written again without anything else before a decoder sees it.
"""
