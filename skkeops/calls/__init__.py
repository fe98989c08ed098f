"""What a call is checked against: the declaration of its arguments, its options, its arrays, and the arrays of its results."""
