"""The part before Flask: receives, limits and buffers requests, rejects early, assigns worker roles, runs self-tests.

gunicorn loads `ServiceWorker` by name and `hooks` through `start/gunicorn_config.py`. Importing this package loads
nothing.
"""
