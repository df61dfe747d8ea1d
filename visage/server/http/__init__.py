"""HTTP without sockets: bytes to requests, requests to WSGI calls, responses to bytes.

llhttp, in the package httptools, parses; nothing in Visage looks for the end of a request itself.
"""
