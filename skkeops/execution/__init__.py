"""How a problem is carried out: what a program is, blocks of rows, and which pairs are visited by which method."""
