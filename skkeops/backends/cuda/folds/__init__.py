"""What a thread keeps of a row, one file for each kind of reduction, and how the parts of a row are merged."""
