"""The engine: slots, admission, the result cache and the allocator.

Import from its modules, such as `visage.runtime.engine`: some of them do not load OpenCV.
"""
