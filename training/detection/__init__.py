"""Train the face net: photos, the labels of other detectors, a large net, and a small one that learns from it."""
