"""Gender and age learned from an ensemble of teachers, on labelled chips and on faces of unlabelled photos."""
