"""Lists of images: names of images in plain lists, and in files for other programs."""
