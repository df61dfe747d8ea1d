"""TIFF: header and decoding.

The first image is found and checked here, and written again without anything else before libtiff sees it.
"""
