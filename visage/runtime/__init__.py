"""The engine: slots, admission, the result cache and the allocator. Import from its modules: some load no OpenCV."""
