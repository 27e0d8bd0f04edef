"""Lists of images in files that were written for something else: from text to names."""
